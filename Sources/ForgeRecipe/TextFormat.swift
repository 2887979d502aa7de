/// A named form that a text must have. Names instead of regular expressions: they say what is meant in an error, and
/// need no regular-expression library at start-up.
package enum TextFormat: String, Sendable, CaseIterable {
    case name
    case hostname
    case userName = "user-name"
    case packageName = "package-name"
    case sourceName = "source-name"
    case image
    case line
    case absolutePath = "absolute-path"
    case relativePath = "relative-path"
    case octalMode = "octal-mode"
    case size
    case url
    case sha256

    /// What the text must be, after “must be”.
    package var summary: String {
        switch self {
        case .name: "a name of letters, digits, “.”, “_” and “-” that starts with a letter or digit"
        case .hostname: "a host name: letters, digits and “-”, parts of up to 63 separated by “.”"
        case .userName: "a user name: a small letter or “_”, then small letters, digits, “_” and “-”, up to 32"
        case .packageName: "a package name: letters, digits, “+”, “.”, “_”, “@” and “-”, with an optional “:arch”"
        case .sourceName: "the name of a Debian source package, with an optional “=version”"
        case .image: "an image with registry and tag or digest, such as registry.example.org/pause:3.2"
        case .line: "one line without control characters"
        case .absolutePath: "an absolute path without “.” and “..”"
        case .relativePath: "a relative path without “.” and “..”"
        case .octalMode: "permissions as three or four octal digits, such as 0644"
        case .size: "a size such as 512M or 2G (K, M, G, T: powers of 1024)"
        case .url: "a URL that starts with https://, http:// or file:///"
        case .sha256: "a SHA-256 as 64 small hexadecimal digits"
        }
    }

    /// The form as an ECMA 262 regular expression, for editors that read the JSON Schema.
    package var pattern: String {
        switch self {
        case .name: "^[A-Za-z0-9][A-Za-z0-9._-]*$"
        case .hostname:
            "^[A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?(\\.[A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?)*$"
        case .userName: "^[a-z_][a-z0-9_-]{0,31}$"
        case .packageName: "^[A-Za-z0-9@_][A-Za-z0-9+._@-]*(:[a-z0-9-]+)?$"
        case .sourceName: "^[A-Za-z0-9][A-Za-z0-9+.-]*(=[A-Za-z0-9*][A-Za-z0-9+.:~*_-]*)?$"
        case .image:
            "^([A-Za-z0-9-]+(\\.[A-Za-z0-9-]+)*(:[0-9]+)?)/[a-z0-9]+([._/-]+[a-z0-9]+)*(:[A-Za-z0-9_][A-Za-z0-9._-]*)?(@sha256:[0-9a-f]{64})?$"
        case .line: "^[^\\u0000-\\u001f\\u007f]*$"
        case .absolutePath: "^/"
        case .relativePath: "^[^/]"
        case .octalMode: "^[0-7]{3,4}$"
        case .size: "^[1-9][0-9]*[KMGT]?$"
        case .url: "^(https?://[^\\s/]+(/\\S*)?|file:///\\S+)$"
        case .sha256: "^[0-9a-f]{64}$"
        }
    }

    /// Whether a text has the form.
    package func accepts(_ text: String) -> Bool {
        let bytes = Array(text.utf8)
        switch self {
        case .name: return TextFormat.isName(bytes)
        case .hostname:
            let parts = bytes.split(separator: UInt8(ascii: "."), omittingEmptySubsequences: false)
            return bytes.count <= 253
                && parts.allSatisfy { part in
                    (1...63).contains(part.count) && part.first != UInt8(ascii: "-") && part.last != UInt8(ascii: "-")
                        && part.allSatisfy { TextFormat.isAlphanumeric($0) || $0 == UInt8(ascii: "-") }
                }
        case .userName:
            guard let first = bytes.first, bytes.count <= 32 else { return false }
            return (TextFormat.isSmall(first) || first == UInt8(ascii: "_"))
                && bytes.allSatisfy { TextFormat.isSmall($0) || TextFormat.isDigit($0) || "_-".utf8.contains($0) }
        case .packageName: return TextFormat.isPackageName(bytes)
        case .sourceName: return TextFormat.isSourceName(bytes)
        case .image: return ImageReference(text) != nil
        case .line: return bytes.allSatisfy { $0 >= 0x20 && $0 != 0x7f }
        case .absolutePath:
            return bytes == [UInt8(ascii: "/")]
                || bytes.first == UInt8(ascii: "/") && TextFormat.isRelativePath(bytes.dropFirst())
        case .relativePath: return TextFormat.isRelativePath(bytes[...])
        case .octalMode:
            return (3...4).contains(bytes.count) && bytes.allSatisfy { (0x30...0x37).contains($0) }
        case .size: return ByteSize.parse(text) != nil
        case .url: return TextFormat.isURL(bytes)
        case .sha256:
            return bytes.count == 64 && bytes.allSatisfy { TextFormat.isDigit($0) || (0x61...0x66).contains($0) }
        }
    }

    private static func isDigit(_ byte: UInt8) -> Bool { (0x30...0x39).contains(byte) }
    private static func isSmall(_ byte: UInt8) -> Bool { (0x61...0x7a).contains(byte) }
    private static func isAlphanumeric(_ byte: UInt8) -> Bool {
        isDigit(byte) || isSmall(byte) || (0x41...0x5a).contains(byte)
    }

    private static func isName(_ bytes: [UInt8]) -> Bool {
        guard let first = bytes.first, isAlphanumeric(first) else { return false }
        return bytes.allSatisfy { isAlphanumeric($0) || "._-".utf8.contains($0) }
    }

    private static func isPackageName(_ bytes: [UInt8]) -> Bool {
        let parts = bytes.split(separator: UInt8(ascii: ":"), maxSplits: 1, omittingEmptySubsequences: false)
        guard let first = parts[0].first, isAlphanumeric(first) || "@_".utf8.contains(first),
            parts[0].allSatisfy({ isAlphanumeric($0) || "+._@-".utf8.contains($0) })
        else { return false }
        guard parts.count == 2 else { return true }
        return !parts[1].isEmpty && parts[1].allSatisfy { isSmall($0) || isDigit($0) || $0 == UInt8(ascii: "-") }
    }

    private static func isSourceName(_ bytes: [UInt8]) -> Bool {
        let parts = bytes.split(separator: UInt8(ascii: "="), maxSplits: 1, omittingEmptySubsequences: false)
        guard let first = parts[0].first, isAlphanumeric(first),
            parts[0].allSatisfy({ isAlphanumeric($0) || "+.-".utf8.contains($0) })
        else { return false }
        guard parts.count == 2 else { return true }
        guard let start = parts[1].first, isAlphanumeric(start) || start == UInt8(ascii: "*") else { return false }
        return parts[1].allSatisfy { isAlphanumeric($0) || "+.:~*_-".utf8.contains($0) }
    }

    private static func isRelativePath(_ bytes: ArraySlice<UInt8>) -> Bool {
        guard !bytes.isEmpty, !bytes.contains(0) else { return false }
        return bytes.split(separator: UInt8(ascii: "/"), omittingEmptySubsequences: false).allSatisfy { part in
            !part.isEmpty && !part.elementsEqual(".".utf8) && !part.elementsEqual("..".utf8)
        }
    }

    private static func isURL(_ bytes: [UInt8]) -> Bool {
        for scheme in ["https://", "http://"] where bytes.starts(with: scheme.utf8) {
            let rest = bytes.dropFirst(scheme.utf8.count)
            return rest.first.map { $0 != UInt8(ascii: "/") } == true && rest.allSatisfy { $0 > 0x20 && $0 != 0x7f }
        }
        let rest = bytes.dropFirst("file:///".utf8.count)
        return bytes.starts(with: "file:///".utf8) && !rest.isEmpty && rest.allSatisfy { $0 > 0x20 && $0 != 0x7f }
    }
}

/// Sizes as people write them.
package enum ByteSize {
    /// Bytes of `512`, `512K`, `512M`, `2G` or `1T` (powers of 1024); nil for anything else, zero and what does not fit.
    package static func parse(_ text: String) -> Int64? {
        var digits = text.utf8[...]
        var shift: Int64 = 0
        if let last = digits.last, let unit = Array("KMGT".utf8).firstIndex(of: last) {
            shift = Int64(unit + 1) * 10
            digits = digits.dropLast()
        }
        guard let first = digits.first, first != UInt8(ascii: "0"), digits.allSatisfy({ (0x30...0x39).contains($0) }),
            let number = Int64(String(digits) ?? "")
        else { return nil }
        let (bytes, overflow) = number.multipliedReportingOverflow(by: 1 << shift)
        return overflow ? nil : bytes
    }
}

/// Lengths of time as people write them.
package enum TimeLimit {
    /// Seconds of ten years: more is a mistake.
    static let longest: Int64 = 315_360_000
    private static let units: [(UInt8, Int64)] = [
        (UInt8(ascii: "d"), 86_400), (UInt8(ascii: "h"), 3600), (UInt8(ascii: "m"), 60), (UInt8(ascii: "s"), 1),
    ]
    static let pattern = "^[1-9][0-9]*[smhd]?$"

    /// Seconds of `90`, `90s`, `30m`, `2h` or `1d`; nil for anything else, zero and more than ten years.
    package static func parse(_ text: String) -> Int64? {
        var digits = text.utf8[...]
        var factor: Int64 = 1
        if let last = digits.last, let unit = units.first(where: { $0.0 == last }) {
            factor = unit.1
            digits = digits.dropLast()
        }
        guard let first = digits.first, first != UInt8(ascii: "0"), digits.allSatisfy({ (0x30...0x39).contains($0) }),
            let number = Int64(String(digits) ?? ""), number <= longest / factor
        else { return nil }
        return number * factor
    }

    /// In the largest unit that divides it: `30m`, `90s`.
    package static func text(_ seconds: Int64) -> String {
        for (letter, factor) in units where seconds >= factor && seconds % factor == 0 {
            return "\(seconds / factor)\(Character(UnicodeScalar(letter)))"
        }
        return "\(seconds)s"
    }
}
