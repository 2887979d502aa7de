package import ForgeBase

/// The written form of a tree, one text for one tree:
///
///     forge-tree 1
///     d 0755 0 0 .
///     d 0755 0 0 etc
///     f 0644 0 0 etc/hostname <64 hex digits>/5 user.origin=forge
///     l 0777 0 0 etc/mtab ../proc/mounts
///     c 0666 0 0 null 1:3
///
/// Fields: kind (d directory, f file, l link, c character device, b block device, p FIFO), mode in four octal digits,
/// uid, gid, path (`.` for the root), then digest, target or major:minor, then extended attributes `name=value`. In paths,
/// targets, names and values every byte outside `!`…`~`, and `%` itself, is `%XX` with upper-case digits; in the name
/// of an attribute `=` too. Lines end with one newline.
enum TreeFormat {
    static let header = "forge-tree 1"
    private static let digits = Array("0123456789ABCDEF".utf8)

    /// The escaped form of some bytes.
    static func escape(_ bytes: [UInt8], to out: inout [UInt8], alsoEquals: Bool = false) {
        for byte in bytes {
            if needsEscape(byte, alsoEquals: alsoEquals) {
                out.append(UInt8(ascii: "%"))
                out.append(digits[Int(byte >> 4)])
                out.append(digits[Int(byte & 15)])
            } else {
                out.append(byte)
            }
        }
    }

    /// The escaped form, for messages.
    static func text(_ path: ByteString) -> String {
        var out: [UInt8] = []
        escape(path.bytes, to: &out)
        return String(decoding: out, as: UTF8.self)
    }

    /// The bytes of an escaped form; nil unless it is exactly what ``escape(_:to:alsoEquals:)`` writes.
    static func unescape(_ field: ArraySlice<UInt8>, alsoEquals: Bool = false) -> [UInt8]? {
        var out: [UInt8] = []
        out.reserveCapacity(field.count)
        var i = field.startIndex
        while i < field.endIndex {
            let byte = field[i]
            guard byte == UInt8(ascii: "%") else {
                if needsEscape(byte, alsoEquals: alsoEquals) { return nil }
                out.append(byte)
                i += 1
                continue
            }
            guard i + 2 < field.endIndex, let high = value(field[i + 1]), let low = value(field[i + 2]) else {
                return nil
            }
            let decoded = high << 4 | low
            guard needsEscape(decoded, alsoEquals: alsoEquals) else { return nil }
            out.append(decoded)
            i += 3
        }
        return out
    }

    private static func needsEscape(_ byte: UInt8, alsoEquals: Bool) -> Bool {
        byte < 0x21 || byte > 0x7e || byte == UInt8(ascii: "%") || (alsoEquals && byte == UInt8(ascii: "="))
    }

    private static func value(_ digit: UInt8) -> UInt8? {
        switch digit {
        case UInt8(ascii: "0")...UInt8(ascii: "9"): digit - UInt8(ascii: "0")
        case UInt8(ascii: "A")...UInt8(ascii: "F"): digit - UInt8(ascii: "A") + 10
        default: nil
        }
    }

    /// A decimal number without sign or leading zeros, at most `limit`.
    static func decimal(_ field: ArraySlice<UInt8>, limit: UInt64) -> UInt64? {
        guard let first = field.first, first != UInt8(ascii: "0") || field.count == 1, field.count <= 20 else {
            return nil
        }
        var number: UInt64 = 0
        for digit in field {
            guard digit >= UInt8(ascii: "0"), digit <= UInt8(ascii: "9") else { return nil }
            let (product, overflow) = number.multipliedReportingOverflow(by: 10)
            let (sum, carry) = product.addingReportingOverflow(UInt64(digit - UInt8(ascii: "0")))
            if overflow || carry { return nil }
            number = sum
        }
        return number <= limit ? number : nil
    }

    /// Four octal digits.
    static func mode(_ field: ArraySlice<UInt8>) -> UInt32? {
        guard field.count == 4 else { return nil }
        var mode: UInt32 = 0
        for digit in field {
            guard digit >= UInt8(ascii: "0"), digit <= UInt8(ascii: "7") else { return nil }
            mode = mode << 3 | UInt32(digit - UInt8(ascii: "0"))
        }
        return mode
    }
}

// MARK: Writing

extension Tree {
    /// The manifest.
    package func encoded() -> [UInt8] {
        var out: [UInt8] = []
        out.reserveCapacity(entries.count * 128)
        out += TreeFormat.header.utf8
        out.append(UInt8(ascii: "\n"))
        for entry in entries { entry.encode(to: &out) }
        return out
    }
}

extension TreeEntry {
    fileprivate func encode(to out: inout [UInt8]) {
        let letter: UInt8 =
            switch kind {
            case .directory: UInt8(ascii: "d")
            case .file: UInt8(ascii: "f")
            case .symlink: UInt8(ascii: "l")
            case .characterDevice: UInt8(ascii: "c")
            case .blockDevice: UInt8(ascii: "b")
            case .fifo: UInt8(ascii: "p")
            }
        out.append(letter)
        out.append(UInt8(ascii: " "))
        for shift: UInt32 in [9, 6, 3, 0] { out.append(UInt8(ascii: "0") + UInt8(mode >> shift & 7)) }
        out += " \(uid) \(gid) ".utf8
        if path.bytes.isEmpty { out.append(UInt8(ascii: ".")) } else { TreeFormat.escape(path.bytes, to: &out) }
        switch kind {
        case .directory, .fifo: break
        case .file(let digest):
            out.append(UInt8(ascii: " "))
            digest.write(to: &out)
        case .symlink(let target):
            out.append(UInt8(ascii: " "))
            TreeFormat.escape(target.bytes, to: &out)
        case .characterDevice(let device), .blockDevice(let device):
            out += " \(device >> 32):\(device & 0xffff_ffff)".utf8
        }
        for xattr in xattrs {
            out.append(UInt8(ascii: " "))
            TreeFormat.escape(xattr.name.bytes, to: &out, alsoEquals: true)
            out.append(UInt8(ascii: "="))
            TreeFormat.escape(xattr.value, to: &out)
        }
        out.append(UInt8(ascii: "\n"))
    }
}

// MARK: Reading

extension Tree {
    /// A tree from its manifest, and from nothing but what ``encoded()`` writes.
    /// - Parameter file: what errors name, with the line.
    package init(parsing bytes: [UInt8], file: String) throws(ForgeError) {
        func fault(_ line: Int, _ what: String) -> ForgeError {
            ForgeError(.io, "not a tree manifest: \(what)", at: SourceLocation(file: file, line: line, column: 1))
        }
        let newline = UInt8(ascii: "\n")
        guard bytes.last == newline else { throw fault(1, "the last line is cut off") }
        var entries: [TreeEntry] = []
        entries.reserveCapacity(bytes.count / 100)
        var check = TreeCheck()
        var (line, start) = (1, 0)
        while start < bytes.count, let end = bytes[start...].firstIndex(of: newline) {
            let text = bytes[start..<end]
            start = end + 1
            defer { line += 1 }
            if line == 1 {
                guard text.elementsEqual(TreeFormat.header.utf8) else {
                    throw fault(1, "it does not begin with “\(TreeFormat.header)”")
                }
                continue
            }
            guard let entry = TreeEntry(parsing: text) else { throw fault(line, "this line is no entry") }
            if let what = check.add(entry) { throw fault(line, what) }
            entries.append(entry)
        }
        if let what = check.finish() { throw fault(line, what) }
        self.init(checked: entries)
    }
}

extension TreeEntry {
    /// An entry from its line; nil unless the line is in canonical form. Paths are checked by ``TreeCheck``.
    fileprivate init?(parsing line: ArraySlice<UInt8>) {
        let fields = line.split(separator: UInt8(ascii: " "), omittingEmptySubsequences: false)
        guard fields.count >= 5, fields[0].count == 1, let letter = fields[0].first,
            let mode = TreeFormat.mode(fields[1]),
            let uid = TreeFormat.decimal(fields[2], limit: UInt64(UInt32.max)),
            let gid = TreeFormat.decimal(fields[3], limit: UInt64(UInt32.max)),
            let path = TreeFormat.unescape(fields[4]), !path.isEmpty
        else { return nil }
        let simple = letter == UInt8(ascii: "d") || letter == UInt8(ascii: "p")
        guard simple || fields.count >= 6 else { return nil }
        switch letter {
        case UInt8(ascii: "d"): kind = .directory
        case UInt8(ascii: "p"): kind = .fifo
        case UInt8(ascii: "f"):
            guard let digest = Digest(written: fields[5]) else { return nil }
            kind = .file(digest)
        case UInt8(ascii: "l"):
            guard let target = TreeFormat.unescape(fields[5]) else { return nil }
            kind = .symlink(ByteString(target))
        case UInt8(ascii: "c"), UInt8(ascii: "b"):
            let numbers = fields[5].split(separator: UInt8(ascii: ":"), omittingEmptySubsequences: false)
            guard numbers.count == 2, let major = TreeFormat.decimal(numbers[0], limit: UInt64(UInt32.max)),
                let minor = TreeFormat.decimal(numbers[1], limit: UInt64(UInt32.max))
            else { return nil }
            let device = major << 32 | minor
            kind = letter == UInt8(ascii: "c") ? .characterDevice(device) : .blockDevice(device)
        default: return nil
        }
        self.path = path.elementsEqual(".".utf8) ? ByteString([]) : ByteString(path)
        self.mode = mode
        self.uid = UInt32(uid)
        self.gid = UInt32(gid)
        xattrs = []
        for field in fields[(simple ? 5 : 6)...] {
            guard let equals = field.firstIndex(of: UInt8(ascii: "=")),
                let name = TreeFormat.unescape(field[..<equals], alsoEquals: true),
                let value = TreeFormat.unescape(field[(equals + 1)...])
            else { return nil }
            xattrs.append(Xattr(name: ByteString(name), value: value))
        }
    }
}
