import ForgeBase
package import ForgeRecipe
import Glibc

/// What some `Sources` files say of a few source packages, among tens of thousands that nobody asks for.
package struct SourceIndex {
    /// The names that are looked for.
    package let wanted: Set<String>
    /// Every version of them, in the order of the files.
    package private(set) var found: [LockedSource] = []
    /// Every name of the files, for suggestions.
    private(set) var names: Set<String> = []

    package init(wanted: Set<String>) { self.wanted = wanted }

    /// Adds the text of one `Sources` file.
    /// - Parameter file: the name that errors carry.
    package mutating func add(_ text: [UInt8], of suite: DebianRequest.Suite, file: String) throws {
        let stanzas = text.withUnsafeBufferPointer { scan($0) }
        for stanza in stanzas {
            let fields = try Deb822Stanza.parse(Array(text[stanza]), file: "an entry of \(file)")
            guard let fields = fields.first else { continue }
            let source = try SourceIndex.source(fields, of: suite, file: file)
            guard wanted.contains(source.name) else {
                throw ForgeError(
                    .verification, "\(file) has a source whose name goes on where a name ends: “\(source.name)”",
                    remedy: "report this to the archive's owner")
            }
            found.append(source)
        }
    }

    /// Where the stanzas of the wanted names are.
    private mutating func scan(_ bytes: UnsafeBufferPointer<UInt8>) -> [Range<Int>] {
        guard let base = bytes.baseAddress else { return [] }
        var stanzas: [Range<Int>] = []
        var (at, start) = (0, 0)
        var isWanted = false
        while at < bytes.count {
            let rest = UnsafeRawPointer(base + at)
            let end = memchr(rest, 0x0a, bytes.count - at).map { at + (UnsafeRawPointer($0) - rest) } ?? bytes.count
            if end == at || bytes[at] == 0x0d {
                if isWanted { stanzas.append(start..<at) }
                isWanted = false
                start = end + 1
            } else if end - at > 8, strncasecmp(base + at, "Package:", 8) == 0 {
                let name = bytes[(at + 8)..<end].drop { $0 == 0x20 || $0 == 0x09 }.prefix { $0 > 0x20 }
                let text = String(decoding: name, as: UTF8.self)
                isWanted = wanted.contains(text)
                names.insert(text)
            }
            at = end + 1
        }
        if isWanted { stanzas.append(start..<bytes.count) }
        return stanzas
    }

    private static func source(
        _ fields: Deb822Stanza, of suite: DebianRequest.Suite, file: String
    ) throws(ForgeError) -> LockedSource {
        let name = fields["Package"] ?? ""
        guard let version = fields["Version"], DebianVersion.isValid(version), let sums = fields["Checksums-Sha256"]
        else {
            throw ForgeError(
                .verification, "\(file) gives no version or no Checksums-Sha256 for source \(name)",
                remedy: "report this to the archive's owner")
        }
        var files: [LockedSource.File] = []
        for line in sums.split(separator: "\n") {
            let words = line.split { $0 == " " || $0 == "\t" }.map(String.init)
            guard words.count == 3, let size = Int64(words[1]), size >= 0,
                let digest = Digest(hex: words[0].lowercased(), size: size), !words[2].contains("/")
            else {
                throw ForgeError(.verification, "\(file): a line of Checksums-Sha256 of source \(name) is malformed")
            }
            let directory = fields["Directory"].map { $0 == "." ? "" : $0 + "/" } ?? ""
            files.append(.init(path: try DebianLocker.checked(directory + words[2], name: name), digest: digest))
        }
        guard files.filter({ $0.path.hasSuffix(".dsc") }).count == 1 else {
            throw ForgeError(.verification, "\(file) lists not one .dsc for source \(name) \(version)")
        }
        return LockedSource(
            name: name, version: version, archive: suite.archive, suite: suite.suite,
            files: files.sorted { $0.path.precedes($1.path) })
    }
}
