import ForgeBase

/// Finds where a value lies in a JSON text that is known to be well-formed, for error messages.
struct JSONLocator {
    enum Step { case key(String), index(Int) }

    private let text: [UInt8]
    private let file: String
    private var at = 0

    init(text: [UInt8], file: String) {
        self.text = text
        self.file = file
    }

    /// The place of the value at the end of a path, or of the last value on it that is there.
    func location(of path: [Step]) -> SourceLocation {
        var scanner = self
        for step in path where !scanner.enter(step) { break }
        scanner.skipSpace()
        let before = text[..<min(scanner.at, text.count)]
        let line = before.count { $0 == 0x0a } + 1
        let start = before.lastIndex(of: 0x0a).map { $0 + 1 } ?? 0
        return SourceLocation(file: file, line: line, column: before.count - start + 1)
    }

    private mutating func skipSpace() {
        while at < text.count, [0x20, 0x09, 0x0a, 0x0d, 0x2c, 0x3a].contains(text[at]) { at += 1 }
    }

    /// Moves to a member of the value here; stays if there is no such member.
    private mutating func enter(_ step: Step) -> Bool {
        let start = at
        skipSpace()
        guard at < text.count, text[at] == UInt8(ascii: "{") || text[at] == UInt8(ascii: "[") else { return false }
        let isObject = text[at] == UInt8(ascii: "{")
        at += 1
        var count = 0
        while true {
            skipSpace()
            guard at < text.count, text[at] != UInt8(ascii: "}"), text[at] != UInt8(ascii: "]") else { break }
            var key: String?
            if isObject {
                let keyStart = at
                skipValue()
                key = String(decoding: text[(keyStart + 1)..<max(keyStart + 1, at - 1)], as: UTF8.self)
            }
            switch step {
            case .key(let wanted): if key == wanted { return true }
            case .index(let wanted): if !isObject && count == wanted { return true }
            }
            skipValue()
            count += 1
        }
        at = start
        return false
    }

    private mutating func skipValue() {
        skipSpace()
        var depth = 0
        while at < text.count {
            switch text[at] {
            case UInt8(ascii: "\""):
                at += 1
                while at < text.count, text[at] != UInt8(ascii: "\"") { at += text[at] == UInt8(ascii: "\\") ? 2 : 1 }
                at += 1
            case UInt8(ascii: "{"), UInt8(ascii: "["):
                depth += 1
                at += 1
            case UInt8(ascii: "}"), UInt8(ascii: "]"):
                if depth == 0 { return }
                depth -= 1
                at += 1
            case UInt8(ascii: ","), 0x20, 0x0a, 0x0d, 0x09:
                if depth == 0 { return }
                at += 1
            default: at += 1
            }
            if depth == 0, at < text.count, [0x2c, 0x3a, 0x20, 0x0a, 0x7d, 0x5d].contains(text[at]) { return }
        }
    }
}
