import ForgeBase

/// URLs as text: what the downloader needs to know of them, and no more.
package enum FetchURL {
    /// The URL without what may be secret: user name, password, and the values of the query.
    package static func redacted(_ url: String) -> String {
        var text = url
        if let separator = text.range(of: "://") {
            let authority = text[separator.upperBound...].prefix { $0 != "/" && $0 != "?" && $0 != "#" }
            if let at = authority.lastIndex(of: "@") {
                text.replaceSubrange(separator.upperBound..<text.index(after: at), with: "***@")
            }
        }
        if let query = text.firstIndex(of: "?") { text = text[...query] + "***" }
        return text
    }

    /// A base URL and a path below it, with one slash between. The path is bytes of a file's name, of which those that
    /// a URL can't hold are escaped; as in apt, `+` and `~` too, because some object stores take `+` for a space.
    package static func join(_ base: String, _ path: String) -> String {
        var out = Array(base.utf8)
        while out.last == UInt8(ascii: "/") { out.removeLast() }
        for part in path.split(separator: "/") {
            out.append(UInt8(ascii: "/"))
            for byte in part.utf8 { append(byte, to: &out) }
        }
        return String(decoding: out, as: UTF8.self)
    }

    /// The base URL of an archive at a snapshot service, at a time.
    static func snapshot(_ service: String, at time: String) -> String {
        // Without a mark, the time is the next part of the path.
        service.contains("@SNAPSHOTID@") ? service.replacing("@SNAPSHOTID@", with: time) : join(service, time)
    }

    /// Punctuation of a path that goes as it is: of RFC 3986 `pchar`.
    private static let plain = Set("-._!$&'()*,;=:@".utf8)

    private static func append(_ byte: UInt8, to out: inout [UInt8]) {
        switch byte {
        case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
            UInt8(ascii: "0")...UInt8(ascii: "9"):
            out.append(byte)
        case _ where plain.contains(byte): out.append(byte)
        default: out += "%\(Hex.encode([byte]).uppercased())".utf8
        }
    }

    /// Scheme, host and port, in lower case: what one server is known by. Never holds credentials.
    static func host(of url: String) -> String {
        guard let separator = url.range(of: "://") else { return url }
        let authority = url[separator.upperBound...].prefix { $0 != "/" && $0 != "?" && $0 != "#" }
        let host = authority.lastIndex(of: "@").map { authority[authority.index(after: $0)...] } ?? authority
        return (url[..<separator.upperBound] + host).lowercased()
    }

    /// The path of a URL, escapes resolved, without query and fragment.
    static func path(of url: String) -> String {
        guard let separator = url.range(of: "://") else { return url }
        let path = url[separator.upperBound...].drop { $0 != "/" }
        return unescaped(path.prefix { $0 != "?" && $0 != "#" })
    }

    /// The path that a `file:` URL names, escapes resolved; nil for other URLs.
    package static func localPath(_ url: String) -> String? {
        guard isLocal(url), let separator = url.range(of: "://") else { return nil }
        return unescaped(url[separator.upperBound...].drop { $0 != "/" })
    }

    private static func unescaped(_ text: Substring) -> String {
        let bytes = Array(text.utf8)
        var out: [UInt8] = []
        var i = 0
        while i < bytes.count {
            if bytes[i] == UInt8(ascii: "%"), i + 2 < bytes.count,
                let byte = Hex.decode(String(decoding: bytes[(i + 1)...(i + 2)], as: UTF8.self))?.first
            {
                out.append(byte)
                i += 3
            } else {
                out.append(bytes[i])
                i += 1
            }
        }
        return String(decoding: out, as: UTF8.self)
    }

    /// The places to ask for a URL: those that are given for its host, then itself.
    /// - Parameter mirrors: base URLs by name; a host's name has `-` for `.` in environment variables.
    package static func places(of url: String, mirrors: [(String, [String])]) -> [String] {
        guard !isLocal(url), let separator = url.range(of: "://") else { return [url] }
        let name = plain(String(host(of: url).dropFirst(url[..<separator.upperBound].count)))
        let path = url[separator.upperBound...].drop { $0 != "/" }
        let bases = mirrors.filter { plain($0.0) == name }.flatMap(\.1)
        return bases.map { $0 + path } + [url]
    }

    /// The places that may be asked: offline, files of this machine still.
    package static func reachable(_ places: [String], offline: Bool) -> [String] {
        offline ? places.filter(isLocal) : places
    }

    private static func plain(_ host: String) -> String {
        String(host.lowercased().map { $0 == "." || $0 == ":" ? "-" : $0 })
    }

    /// Whether the URL names a file of this machine.
    static func isLocal(_ url: String) -> Bool { url.lowercased().hasPrefix("file:") }
}
