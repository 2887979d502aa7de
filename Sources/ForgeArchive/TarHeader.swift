import ForgeBase
import ForgeStore

/// Headers of a tar archive in the POSIX.1-2001 form (pax): the ustar header, with an extended header in front only
/// where a name, number or attribute does not fit.
///
/// Written here and not by libarchive, so that an archive's bytes don't change with the library's version or locale.
struct TarHeader {
    private static let block = 512
    private var records: [(key: [UInt8], value: [UInt8])] = []
    private var header = [UInt8](repeating: 0, count: block)

    /// The headers of an entry.
    /// - Parameter time: seconds since 1970.
    static func bytes(of entry: TreeEntry, time: Int64) -> [UInt8] {
        var made = TarHeader()
        let isDirectory = entry.isDirectory
        let name =
            entry.path.bytes.isEmpty ? Array("./".utf8) : entry.path.bytes + (isDirectory ? [UInt8(ascii: "/")] : [])
        made.name(name)
        made.number(UInt64(entry.mode), at: 100, digits: 7)
        made.number(UInt64(entry.uid), at: 108, digits: 7, key: "uid")
        made.number(UInt64(entry.gid), at: 116, digits: 7, key: "gid")
        var (type, size): (UInt8, Int64) = (UInt8(ascii: "0"), 0)
        var device: UInt64 = 0
        switch entry.kind {
        case .directory: type = UInt8(ascii: "5")
        case .file(let digest): size = digest.size
        case .symlink(let target):
            type = UInt8(ascii: "2")
            made.text(target.bytes, at: 157, length: 100, key: "linkpath")
        case .characterDevice(let number): (type, device) = (UInt8(ascii: "3"), number)
        case .blockDevice(let number): (type, device) = (UInt8(ascii: "4"), number)
        case .fifo: type = UInt8(ascii: "6")
        }
        made.number(UInt64(bitPattern: size), at: 124, digits: 11, key: "size")
        made.number(UInt64(bitPattern: max(0, time)), at: 136, digits: 11, key: "mtime")
        made.header[156] = type
        made.number(device >> 32, at: 329, digits: 7)
        made.number(device & 0xFFFF_FFFF, at: 337, digits: 7)
        for xattr in entry.xattrs { made.records.append((Array("SCHILY.xattr.".utf8) + xattr.name.bytes, xattr.value)) }
        return made.finished(name)
    }

    /// Zeros that fill the last block of a file.
    static func padding(for size: Int64) -> Int { Int((512 - size % 512) % 512) }

    private mutating func name(_ name: [UInt8]) {
        if name.count <= 100 { return put(name, at: 0) }
        // ustar's own split: up to 155 bytes before a slash, up to 100 behind it.
        let slashes = name.indices.dropLast().filter { name[$0] == UInt8(ascii: "/") && $0 <= 155 && $0 > 0 }
        if let cut = slashes.first(where: { name.count - $0 - 1 <= 100 }) {
            put(Array(name[(cut + 1)...]), at: 0)
            put(Array(name[..<cut]), at: 345)
        } else {
            put(Array(name.prefix(100)), at: 0)
            records.append((Array("path".utf8), name))
        }
    }

    private mutating func text(_ text: [UInt8], at offset: Int, length: Int, key: String) {
        put(Array(text.prefix(length)), at: offset)
        if text.count > length { records.append((Array(key.utf8), text)) }
    }

    private mutating func number(_ value: UInt64, at offset: Int, digits: Int, key: String) {
        let octal = String(value, radix: 8)
        if octal.utf8.count > digits {
            records.append((Array(key.utf8), Array(String(value).utf8)))
            number(0, at: offset, digits: digits)
        } else {
            put(Array((String(repeating: "0", count: digits - octal.utf8.count) + octal).utf8), at: offset)
        }
    }

    private mutating func number(_ value: UInt64, at offset: Int, digits: Int) {
        let octal = String(value, radix: 8)
        put(Array((String(repeating: "0", count: max(0, digits - octal.utf8.count)) + octal).utf8), at: offset)
    }

    private mutating func put(_ bytes: [UInt8], at offset: Int) {
        for (i, byte) in bytes.enumerated() { header[offset + i] = byte }
    }

    private consuming func finished(_ name: [UInt8]) -> [UInt8] {
        put(Array("ustar".utf8) + [0] + Array("00".utf8), at: 257)
        seal()
        if records.isEmpty { return header }
        var body: [UInt8] = []
        for record in records { body += TarHeader.record(record.key, record.value) }
        var extended = TarHeader()
        extended.put(Array((Array("PaxHeaders/".utf8) + name).prefix(100)), at: 0)
        extended.number(UInt64(0o644), at: 100, digits: 7)
        extended.number(UInt64(0), at: 108, digits: 7)
        extended.number(UInt64(0), at: 116, digits: 7)
        extended.number(UInt64(body.count), at: 124, digits: 11)
        extended.number(UInt64(0), at: 136, digits: 11)
        extended.header[156] = UInt8(ascii: "x")
        extended.put(Array("ustar".utf8) + [0] + Array("00".utf8), at: 257)
        extended.seal()
        let padding = [UInt8](repeating: 0, count: TarHeader.padding(for: Int64(body.count)))
        return extended.header + body + padding + header
    }

    /// Writes the checksum: the sum of all bytes, with the checksum's own field taken as spaces.
    private mutating func seal() {
        put([UInt8](repeating: UInt8(ascii: " "), count: 8), at: 148)
        let sum = header.reduce(UInt64(0)) { $0 + UInt64($1) }
        number(sum, at: 148, digits: 6)
        put([0, UInt8(ascii: " ")], at: 154)
    }

    /// `<length> <key>=<value>\n`, where the length counts itself.
    private static func record(_ key: [UInt8], _ value: [UInt8]) -> [UInt8] {
        let rest = key.count + value.count + 3
        var length = rest + 1
        while length != rest + String(length).utf8.count { length = rest + String(length).utf8.count }
        return Array("\(length) ".utf8) + key + [UInt8(ascii: "=")] + value + [UInt8(ascii: "\n")]
    }
}
