import ForgeBase
import ForgeStore
import ForgeSystem
import Glibc
import Testing

@testable import ForgeArchive

/// A fresh directory with a store, and means to make archives, honest ones and others.
final class Workshop: Sendable {
    let path: String
    let store: Store

    init() throws {
        var template = Array("/tmp/forge-archive-test-XXXXXX".utf8CString)
        try #require(mkdtemp(&template) != nil)
        path = String(decoding: template.dropLast().map(UInt8.init(bitPattern:)), as: UTF8.self)
        store = try Store(directory: path + "/cache")
    }

    deinit { if getenv("KEEP_TEMPS") == nil { try? Directory.remove(path) } }

    /// Runs a shell command that must succeed, in the directory; its output.
    @discardableResult
    func shell(_ text: String) throws -> String {
        let command = Command("/bin/sh", ["-euc", text], directory: path)
        return String(decoding: try command.outputOrThrow(), as: UTF8.self)
    }

    /// A package made by dpkg-deb.
    /// - Parameter script: makes the files below `$1`, where `DEBIAN/control` is already.
    func package(_ name: String, compression: String = "xz", _ script: String) throws -> String {
        try shell(
            """
            set -- "$PWD/tree-\(name)"; mkdir -p "$1/DEBIAN"
            printf 'Package: \(name)\\nVersion: 1\\nArchitecture: all\\nMaintainer: m <m@example>\\nDescription: d\\n' \\
                > "$1/DEBIAN/control"
            \(script)
            dpkg-deb --root-owner-group -Z\(compression) --build "$1" \(name).deb >/dev/null
            """)
        return "\(path)/\(name).deb"
    }

    func open(_ file: String, limits: Archive.Limits = Archive.Limits()) throws -> DebArchive {
        try DebArchive(path: file, name: Files.name(of: file), limits: limits, into: store)
    }

    /// A package whose data archive has exactly these headers and bytes.
    func package(dataTar: [UInt8], name: String = "crafted") throws -> String {
        let control = Array("Package: crafted\nVersion: 1\nArchitecture: all\n".utf8)
        let meta = Workshop.tar([(TreeEntry("control", .file(Digest.of(control)), mode: 0o644), control)])
        let bytes = Workshop.ar([("debian-binary", Array("2.0\n".utf8)), ("control.tar", meta), ("data.tar", dataTar)])
        try Files.write("\(path)/\(name).deb", bytes)
        return "\(path)/\(name).deb"
    }

    /// A tar archive of entries as they are, however wrong.
    static func tar(_ entries: [(TreeEntry, [UInt8])]) -> [UInt8] {
        var bytes: [UInt8] = []
        for (entry, content) in entries {
            bytes += TarHeader.bytes(of: entry, time: 0) + content
            bytes += [UInt8](repeating: 0, count: TarHeader.padding(for: Int64(content.count)))
        }
        return bytes + [UInt8](repeating: 0, count: 1024)
    }

    static func ar(_ members: [(String, [UInt8])]) -> [UInt8] {
        var bytes = Array("!<arch>\n".utf8)
        for (name, content) in members {
            func field(_ text: String, _ width: Int) -> String {
                text + String(repeating: " ", count: width - text.utf8.count)
            }
            bytes += (field(name, 16) + field("0", 12) + field("0", 6) + field("0", 6) + field("100644", 8)).utf8
            bytes += (field(String(content.count), 10) + "`\n").utf8
            bytes += content + (content.count.isMultiple(of: 2) ? [] : [UInt8(ascii: "\n")])
        }
        return bytes
    }

    static func file(_ path: String, _ text: String, mode: UInt32 = 0o644) -> (TreeEntry, [UInt8]) {
        (TreeEntry(ByteString(path), .file(Digest.of(text)), mode: mode), Array(text.utf8))
    }

    static func link(_ path: String, _ target: String) -> (TreeEntry, [UInt8]) {
        (TreeEntry(ByteString(path), .symlink(ByteString(target)), mode: 0o777), [])
    }

    static func directory(_ path: String) -> (TreeEntry, [UInt8]) {
        (TreeEntry(ByteString(path), .directory, mode: 0o755), [])
    }
}
