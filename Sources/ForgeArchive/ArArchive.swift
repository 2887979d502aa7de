package import ForgeBase
import ForgeSystem
import Glibc

/// The members of an `ar` archive, the outer wrapping of a Debian package.
///
/// Format: `!<arch>\n`, then per member a header of 60 bytes (name 16, time 12, uid 6, gid 6, mode 8, size 10, end
/// 2, space-padded) and the bytes, padded to an even offset. See ar(5) and deb(5).
package struct ArArchive: Sendable {
    /// A member: its name and where its bytes are in the file.
    package struct Member: Sendable, Equatable {
        package var name: String
        package var offset: Int64
        package var size: Int64
    }

    package let members: [Member]

    /// Reads the headers of an open file.
    /// - Parameter name: what errors call the archive.
    package init(descriptor: Int32, name: String) throws(ForgeError) {
        var info = stat()
        guard fstat(descriptor, &info) == 0 else { throw .system("cannot look at \(name)") }
        let end = Int64(info.st_size)
        guard try ArArchive.read(descriptor, 8, at: 0, name) == Array("!<arch>\n".utf8) else {
            throw Archive.fault(name, "not an ar archive")
        }
        var members: [Member] = []
        var at: Int64 = 8
        while at < end {
            let header = try ArArchive.read(descriptor, 60, at: at, name)
            guard header.count == 60, header[58] == 0x60, header[59] == 0x0A,
                let size = ArArchive.number(header[48..<58])
            else { throw Archive.fault(name, "the ar header at byte \(at) is damaged") }
            guard size <= end - at - 60 else {
                throw Archive.fault(name, "cut short: a member of \(size) bytes begins at byte \(at + 60) of \(end)")
            }
            let label = header[..<16].prefix { $0 != UInt8(ascii: "/") && $0 != UInt8(ascii: " ") }
            members.append(Member(name: String(decoding: label, as: UTF8.self), offset: at + 60, size: size))
            guard members.count <= 64 else { throw Archive.fault(name, "more than 64 members in a package") }
            at += 60 + size + size % 2
        }
        self.members = members
    }

    private static func number(_ field: ArraySlice<UInt8>) -> Int64? {
        Int64(String(decoding: field.prefix { $0 != UInt8(ascii: " ") }, as: UTF8.self)).flatMap { $0 >= 0 ? $0 : nil }
    }

    /// Up to `count` bytes at an offset; fewer at the end of the file.
    static func read(_ descriptor: Int32, _ count: Int, at offset: Int64, _ name: String) throws(ForgeError) -> [UInt8]
    {
        var bytes = [UInt8](repeating: 0, count: count)
        var have = 0
        while have < count {
            let got = bytes.withUnsafeMutableBytes { space in
                pread(descriptor, space.baseAddress.map { $0 + have }, count - have, off_t(offset) + off_t(have))
            }
            if got < 0 && errno == EINTR { continue }
            guard got >= 0 else { throw .system("cannot read \(name)") }
            if got == 0 { break }
            have += got
        }
        return Array(bytes[..<have])
    }
}
