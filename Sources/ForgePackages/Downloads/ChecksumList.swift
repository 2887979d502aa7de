package import ForgeBase

/// A published file of checksums: one SHA-256 alone, lines as `sha256sum` writes them (`<digits>  <name>`), or lines of
/// BSD's form (`SHA256 (<name>) = <digits>`). Other lines, such as those of a signature around them, are passed over.
package struct ChecksumList: Sendable {
    /// The digest that stands alone, if one does.
    private var alone: String?
    private var entries: [(name: String, sha256: String)] = []
    /// Digests of another length were seen.
    private var hasOthers = false

    package init(_ bytes: [UInt8]) {
        // Longer lines than names can be say nothing, and would take their time.
        for line in bytes.split(whereSeparator: { $0 == 0x0a || $0 == 0x0d }) where line.count <= 4096 {
            read(String(decoding: line, as: UTF8.self))
        }
    }

    private mutating func read(_ line: String) {
        if line.hasPrefix("SHA256 ("), let end = line.range(of: ") = ") {
            let name = line[line.index(line.startIndex, offsetBy: 8)..<end.lowerBound]
            if let hex = ChecksumList.digest(line[end.upperBound...]) { entries.append((String(name), hex)) }
            return
        }
        // A backslash in front says that the name has escapes, which no published file needs.
        let words = line.split(separator: " ", maxSplits: 1).map(String.init)
        guard let first = words.first, first.utf8.allSatisfy({ ChecksumList.isHex($0) }) else { return }
        guard let hex = ChecksumList.digest(first) else {
            hasOthers = hasOthers || [32, 40, 96, 128].contains(first.utf8.count)
            return
        }
        guard words.count == 2 else {
            alone = alone ?? hex
            return
        }
        var name = words[1].drop { $0 == " " }
        if name.first == "*" { name = name.dropFirst() }
        while name.last == " " || name.last == "\t" { name = name.dropLast() }
        entries.append((String(name), hex))
    }

    private static func isHex(_ byte: UInt8) -> Bool {
        (0x30...0x39).contains(byte) || (0x61...0x66).contains(byte | 0x20)
    }

    private static func digest(_ text: some StringProtocol) -> String? {
        let hex = text.lowercased().split(separator: " ").first.map(String.init) ?? ""
        return hex.utf8.count == 64 && hex.utf8.allSatisfy { isHex($0) } ? hex : nil
    }

    /// The SHA-256 of the file at a URL.
    ///
    /// A name with folders is that of a URL which ends with it; otherwise the last part of both decides.
    /// - Parameter place: the list's own address, for errors.
    /// - Throws: `.verification` if the list has none, or several for such a name.
    package func sha256(of url: String, place: String) throws(ForgeError) -> String {
        if entries.isEmpty, let alone { return alone }
        let path = ChecksumList.parts(FetchURL.path(of: url))
        let fitting = entries.map { entry in
            (sha256: entry.sha256, parts: ChecksumList.parts(entry.name))
        }.filter { !$0.parts.isEmpty && $0.parts.last == path.last }
        let whole = fitting.filter { path.suffix($0.parts.count).elementsEqual($0.parts) }
        let longest = whole.map(\.parts.count).max()
        let found = Set((longest.map { length in whole.filter { $0.parts.count == length } } ?? fitting).map(\.sha256))
        if found.count == 1, let only = found.first { return only }
        throw fault(path.last ?? url, several: !found.isEmpty, place)
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
