import ForgeBase

/// What the log of a failed script says that it missed.
enum LogClue: Equatable {
    /// Texts of one line that may be the path, the likeliest first.
    case path([String])
    case program(String)
    /// The address or host that was asked, if the log says.
    case network(String?)

    /// Clues of the last lines, the last line first.
    static func find(in log: String, lines: Int = 40) -> [LogClue] {
        let last = log.split(separator: "\n").suffix(lines).map(String.init)
        return last.reversed().compactMap { clue(in: $0, of: last) }
    }

    private static func clue(in line: String, of lines: [String]) -> LogClue? {
        if let program = program(in: line) { return .program(program) }
        let small = line.lowercased()
        if networkSigns.contains(where: small.contains) { return .network(address(line, lines)) }
        guard pathSigns.contains(where: small.contains) else { return nil }
        let found = candidates(in: line)
        return found.isEmpty ? nil : .path(found)
    }

    // MARK: Programs

    /// The program that a shell, env(1) or make(1) did not find.
    private static func program(in line: String) -> String? {
        let parts = line.split(separator: ": ").map(String.init)
        guard parts.count >= 2, let last = parts.last else { return nil }
        let name = unquoted(parts[parts.count - 2])
        switch last {
        case "command not found": return isProgram(name) ? name : nil
        case "not found":
            // dash: `run: 3: gcc: not found`; busybox: `run: line 3: gcc: not found`.
            guard parts.count >= 3 else { return nil }
            let number = parts[parts.count - 3].split(separator: " ").last.flatMap { Int($0) }
            return number != nil && isProgram(name) ? name : nil
        case "No such file or directory":
            guard parts[0] == "env" || parts[0] == "make" || parts[0].hasPrefix("make[") else { return nil }
            let words = name.split(separator: " ").map { unquoted(String($0)) }
            // busybox: `env: can't execute 'gcc': …`.
            guard let word = words.last, words.count == 1 || name.hasPrefix("can't execute") else { return nil }
            return isProgram(word) && (parts[0] == "env" || !word.contains(".")) ? word : nil
        default: return nil
        }
    }

    private static func isProgram(_ name: String) -> Bool {
        !name.isEmpty
            && name.utf8.allSatisfy { byte in
                (0x30...0x39).contains(byte) || (0x41...0x5a).contains(byte) || (0x61...0x7a).contains(byte)
                    || "._+-[".utf8.contains(byte)
            }
    }

    // MARK: Network

    private static let networkSigns = [
        "could not resolve host", "couldn't resolve host", "temporary failure in name resolution",
        "name or service not known", "unable to resolve host", "bad address '", "network is unreachable",
        "could not resolve '", "failed to lookup address", "getaddrinfo eai_again",
        "no address associated with hostname",
    ]

    /// The URL of the line or of an earlier one, else the host that the line names.
    private static func address(_ line: String, _ lines: [String]) -> String? {
        if let url = url(in: line) { return url }
        for marker in ["host: ", "host '", "host `", "address '", "host address ‘", "host address '", "resolve '"] {
            guard let start = line.range(of: marker) else { continue }
            let rest = line[start.upperBound...].prefix { !" '\"`’:)".contains($0) }
            if !rest.isEmpty { return String(rest) }
        }
        return lines.reversed().lazy.compactMap(url).first
    }

    private static func url(in line: String) -> String? {
        for scheme in ["https://", "http://"] {
            guard let start = line.range(of: scheme) else { continue }
            let rest = line[start.upperBound...].prefix { !" '\"`’‘<>)".contains($0) }
            let text = scheme + rest
            if !rest.isEmpty { return text.hasSuffix(":") || text.hasSuffix(".") ? String(text.dropLast()) : text }
        }
        return nil
    }

    // MARK: Paths

    private static let pathSigns = [
        "no such file", "cannot open", "can't open", "could not open", "cannot access", "cannot stat", "can't stat",
        "does not exist", "doesn't exist", "no rule to make target", "not found", "enoent",
    ]

    /// Texts of a line that may be a path: what is quoted, then what stands between colons, then words, the last first.
    private static func candidates(in line: String) -> [String] {
        var found: [String] = []
        func add(_ text: String) {
            let plain = unquoted(text)
            guard !plain.isEmpty, plain.utf8.count < 1024, plain != "/stage/run",
                plain.contains(where: { $0.isLetter }),
                !found.contains(plain)
            else { return }
            found.append(plain)
        }
        for (open, close) in [("‘", "’"), ("'", "'"), ("\"", "\""), ("`", "'"), ("“", "”")] {
            var rest = line[...]
            while let start = rest.range(of: open), let end = rest[start.upperBound...].range(of: close) {
                add(String(rest[start.upperBound..<end.lowerBound]))
                rest = rest[end.upperBound...]
            }
        }
        for part in line.split(separator: ": ").reversed() where !part.contains(" ") { add(String(part)) }
        for word in line.split(separator: " ").reversed() where word.contains("/") || word.contains(".") {
            add(String(word))
        }
        return found
    }

    private static func unquoted(_ text: String) -> String {
        var rest = text[...]
        while let first = rest.first, "'\"`‘“(".contains(first) { rest.removeFirst() }
        while let last = rest.last, "'\"`’”),:;".contains(last) { rest.removeLast() }
        return String(rest)
    }
}
