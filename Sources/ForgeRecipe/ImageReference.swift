/// The name of a container image: registry, repository, and a tag or a digest or both.
///
/// Nothing is filled in. What `pause` alone means is a convention of one registry, and `latest` means another image every
/// week.
package struct ImageReference: Sendable, Hashable, CustomStringConvertible {
    /// Host, with a port if it has one.
    package var registry: String
    package var repository: String
    package var tag: String?
    /// SHA-256 of the manifest: 64 small hexadecimal digits.
    package var sha256: String?

    /// Nil for what is no such name.
    package init?(_ text: String) {
        var rest = Substring(text)
        if let at = rest.lastIndex(of: "@") {
            let digest = String(rest[rest.index(after: at)...])
            let hex = String(digest.dropFirst(7))
            guard digest.hasPrefix("sha256:"), TextFormat.sha256.accepts(hex) else { return nil }
            sha256 = hex
            rest = rest[..<at]
        }
        guard let slash = rest.firstIndex(of: "/") else { return nil }
        registry = String(rest[..<slash])
        rest = rest[rest.index(after: slash)...]
        if let colon = rest.lastIndex(of: ":") {
            tag = String(rest[rest.index(after: colon)...])
            rest = rest[..<colon]
        }
        repository = String(rest)
        guard ImageReference.isRegistry(registry), ImageReference.isRepository(repository),
            tag.map(ImageReference.isTag) ?? true, tag != nil || sha256 != nil, text.utf8.count <= 500
        else { return nil }
    }

    package var description: String {
        "\(registry)/\(repository)" + (tag.map { ":\($0)" } ?? "") + (sha256.map { "@sha256:\($0)" } ?? "")
    }

    /// Whether the registry is on this machine, which is asked without TLS, as every such tool does.
    package var isLocal: Bool {
        let host = registry.prefix { $0 != ":" }
        return host == "localhost" || host.hasPrefix("127.")
    }

    /// A host that can't be taken for the first part of a repository: it has a dot or a port, or is `localhost`.
    private static func isRegistry(_ text: String) -> Bool {
        let parts = text.split(separator: ":", omittingEmptySubsequences: false).map(String.init)
        guard (1...2).contains(parts.count), TextFormat.hostname.accepts(parts[0]) else { return false }
        if parts.count == 2 { return Int(parts[1]).map { (1...65535).contains($0) } ?? false }
        return parts[0].contains(".") || parts[0] == "localhost"
    }

    /// Parts of small letters and digits, joined by one `.`, one or two `_`, or any number of `-`.
    private static func isRepository(_ text: String) -> Bool {
        text.split(separator: "/", omittingEmptySubsequences: false).allSatisfy { part in
            let marks = part.split(omittingEmptySubsequences: true) { isSmall($0) }.map(String.init)
            return part.first.map(isSmall) == true && part.last.map(isSmall) == true
                && marks.allSatisfy { [".", "_", "__"].contains($0) || $0.allSatisfy { $0 == "-" } }
        }
    }

    private static func isSmall(_ character: Character) -> Bool {
        character.isASCII && (character.isNumber || character.isLowercase)
    }

    private static func isTag(_ text: String) -> Bool {
        let isWord: (UInt8) -> Bool = { byte in
            (0x30...0x39).contains(byte) || (0x61...0x7a).contains(byte | 0x20) || byte == UInt8(ascii: "_")
        }
        return text.utf8.first.map(isWord) == true && text.utf8.count <= 128
            && text.utf8.allSatisfy { isWord($0) || ".-".utf8.contains($0) }
    }
}
