package import ForgeBase

/// A published file of checksums: one SHA-256 alone, lines as `sha256sum` writes them (`<digits>  <name>`), or lines of
/// BSD's form (`SHA256 (<name>) = <digits>`). Other lines, such as those of a signature around them, are passed over.
package struct ChecksumList: Sendable {
    /// Digests that stand alone on their lines.
    private var alone: Set<String> = []
    private var entries: [(name: String, sha256: String)] = []
    /// Digests of another length were seen.
    private var hasOthers = false

    package init(_ bytes: [UInt8]) {
        for line in bytes.split(whereSeparator: { $0 == 0x0a || $0 == 0x0d }) { read(line) }
    }

    private static let prefix = Array("SHA256 (".utf8)
    private static let infix = Array(") = ".utf8)

    private mutating func read(_ line: ArraySlice<UInt8>) {
        var line = line
        while line.last == 0x20 || line.last == 0x09 { line.removeLast() }
        if line.starts(with: ChecksumList.prefix) {
            let name = line.dropFirst(ChecksumList.prefix.count).dropLast(64 + ChecksumList.infix.count)
            guard let hex = ChecksumList.digest(line.suffix(64)),
                line.dropLast(64).suffix(4).elementsEqual(ChecksumList.infix)
            else { return }
            entries.append((String(decoding: name, as: UTF8.self), hex))
            return
        }
        let digits = line.prefix { ChecksumList.isHex($0) }
        let rest = line[digits.endIndex...]
        // A backslash in front says that the name has escapes, which no published file needs.
        guard rest.isEmpty || rest.first == 0x20 else { return }
        guard let hex = ChecksumList.digest(digits) else {
            hasOthers = hasOthers || [32, 40, 96, 128].contains(digits.count)
            return
        }
        if rest.isEmpty {
            alone.insert(hex)
        } else {
            let name = rest.drop { $0 == 0x20 }
            entries.append(
                (String(decoding: name.first == UInt8(ascii: "*") ? name.dropFirst() : name, as: UTF8.self), hex))
        }
    }

    private static func isHex(_ byte: UInt8) -> Bool {
        (0x30...0x39).contains(byte) || (0x61...0x66).contains(byte | 0x20)
    }

    private static func digest(_ digits: ArraySlice<UInt8>) -> String? {
        guard digits.count == 64, digits.allSatisfy({ isHex($0) }) else { return nil }
        return String(decoding: digits, as: UTF8.self).lowercased()
    }

    /// The SHA-256 of the file at a URL.
    ///
    /// A name with folders is that of a URL which ends with it; otherwise the last part of both decides.
    /// - Parameter place: the list's own address, for errors.
    /// - Throws: `.verification` if the list has none, or several for such a name.
    package func sha256(of url: String, place: String) throws(ForgeError) -> String {
        if entries.isEmpty, alone.count == 1, let only = alone.first { return only }
        let path = ChecksumList.parts(FetchURL.path(of: url))
        let fitting = entries.map { entry in
            (sha256: entry.sha256, parts: ChecksumList.parts(entry.name))
        }.filter { !$0.parts.isEmpty && $0.parts.last == path.last }
        let whole = fitting.filter { path.suffix($0.parts.count).elementsEqual($0.parts) }
        let longest = whole.map(\.parts.count).max()
        let found = Set((longest.map { length in whole.filter { $0.parts.count == length } } ?? fitting).map(\.sha256))
        if found.count == 1, let only = found.first { return only }
        throw fault(path.last ?? url, several: !found.isEmpty || entries.isEmpty && !alone.isEmpty, place)
    }

    private static func parts(_ path: String) -> [String] {
        path.split(separator: "/").map(String.init).filter { $0 != "." }
    }

    private func fault(_ name: String, several: Bool, _ place: String) -> ForgeError {
        let shown = FetchURL.redacted(place)
        if several {
            return ForgeError(
                .verification, "\(shown) has several SHA-256 sums for files called \(name)",
                remedy: "pin the file by itself: sha256: … (`forge hash URL` prints it)")
        }
        guard !entries.isEmpty else {
            return ForgeError(
                .verification, "\(shown) has no SHA-256 sums",
                details: hasOthers ? ["it has sums of another kind, which forge does not take"] : [],
                remedy: "correct `checksums`, or pin the file by itself: sha256: … (`forge hash URL` prints it)")
        }
        let names = entries.compactMap { $0.name.split(separator: "/").last.map(String.init) }
        let more = names.count > 8 ? ", …" : ""
        return ForgeError(
            .verification, "\(shown) has no SHA-256 of \(name)\(Suggestion.hint(for: name, inMany: names))",
            details: ["it names \(names.prefix(8).joined(separator: ", "))\(more)"],
            remedy: "correct `url` or `checksums`")
    }
}
