extension JSON {
    /// Parses a whole JSON text (RFC 8259); duplicate keys are errors.
    /// - Parameter file: the name that errors carry.
    /// - Throws: `ForgeError` with file, line and column.
    package init(parsing text: some Collection<UInt8>, file: String) throws(ForgeError) {
        var parser = Parser(bytes: Array(text), file: file)
        self = try parser.document()
    }

    package init(parsing text: String, file: String) throws(ForgeError) {
        try self.init(parsing: Array(text.utf8), file: file)
    }

    private struct Parser {
        let bytes: [UInt8]
        let file: String
        var at = 0
        var depth = 0

        init(bytes: [UInt8], file: String) {
            self.bytes = bytes
            self.file = file
        }

        mutating func document() throws(ForgeError) -> JSON {
            let value = try value()
            skipSpace()
            guard at == bytes.count else { throw fault("unexpected text after the JSON value") }
            return value
        }

        func fault(_ message: String) -> ForgeError {
            let before = bytes[..<min(at, bytes.count)]
            let line = before.count { $0 == UInt8(ascii: "\n") } + 1
            let column = before.count - (before.lastIndex(of: UInt8(ascii: "\n")).map { $0 + 1 } ?? 0) + 1
            return ForgeError(
                .badInput, "not valid JSON: \(message)", at: SourceLocation(file: file, line: line, column: column))
        }

        mutating func skipSpace() {
            while at < bytes.count, [0x20, 0x09, 0x0a, 0x0d].contains(bytes[at]) { at += 1 }
        }

        mutating func peek() throws(ForgeError) -> UInt8 {
            skipSpace()
            guard at < bytes.count else { throw fault("the text ends too early") }
            return bytes[at]
        }

        mutating func value() throws(ForgeError) -> JSON {
            switch try peek() {
            case UInt8(ascii: "{"): return try object()
            case UInt8(ascii: "["): return try array()
            case UInt8(ascii: "\""): return .string(try string())
            case UInt8(ascii: "t"): return try word("true", .bool(true))
            case UInt8(ascii: "f"): return try word("false", .bool(false))
            case UInt8(ascii: "n"): return try word("null", .null)
            default: return try number()
            }
        }

        mutating func word(_ text: String, _ value: JSON) throws(ForgeError) -> JSON {
            guard bytes[at...].starts(with: text.utf8) else { throw fault("expected a value") }
            at += text.utf8.count
            return value
        }

        mutating func enter() throws(ForgeError) {
            depth += 1
            guard depth <= 128 else { throw fault("nested more than 128 deep") }
            at += 1
        }

        mutating func array() throws(ForgeError) -> JSON {
            try enter()
            var values: [JSON] = []
            while try peek() != UInt8(ascii: "]") {
                if !values.isEmpty { try comma() }
                values.append(try value())
            }
            at += 1
            depth -= 1
            return .array(values)
        }

        mutating func object() throws(ForgeError) -> JSON {
            try enter()
            var fields: [(String, JSON)] = []
            var seen: Set<String> = []
            while try peek() != UInt8(ascii: "}") {
                if !fields.isEmpty { try comma() }
                guard try peek() == UInt8(ascii: "\"") else { throw fault("expected a key in quotes") }
                let key = try string()
                guard seen.insert(key).inserted else { throw fault("key “\(key)” appears twice") }
                guard try peek() == UInt8(ascii: ":") else { throw fault("expected “:” after a key") }
                at += 1
                fields.append((key, try value()))
            }
            at += 1
            depth -= 1
            return .object(fields)
        }

        mutating func comma() throws(ForgeError) {
            guard try peek() == UInt8(ascii: ",") else { throw fault("expected “,”") }
            at += 1
            _ = try peek()
        }

        mutating func string() throws(ForgeError) -> String {
            at += 1
            var out: [UInt8] = []
            while at < bytes.count {
                let byte = bytes[at]
                at += 1
                switch byte {
                case UInt8(ascii: "\""):
                    guard let text = String(validating: out, as: UTF8.self) else {
                        throw fault("a string is not UTF-8")
                    }
                    return text
                case UInt8(ascii: "\\"): try escape(into: &out)
                case 0..<0x20: throw fault("a control character in a string")
                default: out.append(byte)
                }
            }
            throw fault("a string has no end")
        }

        mutating func escape(into out: inout [UInt8]) throws(ForgeError) {
            guard at < bytes.count else { throw fault("the text ends too early") }
            let byte = bytes[at]
            at += 1
            switch byte {
            case UInt8(ascii: "n"): out.append(0x0a)
            case UInt8(ascii: "t"): out.append(0x09)
            case UInt8(ascii: "r"): out.append(0x0d)
            case UInt8(ascii: "b"): out.append(0x08)
            case UInt8(ascii: "f"): out.append(0x0c)
            case UInt8(ascii: "\""), UInt8(ascii: "\\"), UInt8(ascii: "/"): out.append(byte)
            case UInt8(ascii: "u"):
                var code = try fourDigits()
                if (0xd800..<0xdc00).contains(code), bytes[at...].starts(with: "\\u".utf8) {
                    at += 2
                    let low = try fourDigits()
                    guard (0xdc00..<0xe000).contains(low) else { throw fault("half a surrogate pair") }
                    code = 0x10000 + (code - 0xd800) << 10 + (low - 0xdc00)
                }
                guard let scalar = Unicode.Scalar(code) else { throw fault("half a surrogate pair") }
                out += Array(String(Character(scalar)).utf8)
            default: throw fault("unknown escape in a string")
            }
        }

        mutating func fourDigits() throws(ForgeError) -> UInt32 {
            var code: UInt32 = 0
            for _ in 0..<4 {
                // `UInt32(_:radix:)` would take a sign.
                guard at < bytes.count, let digit = Character(Unicode.Scalar(bytes[at])).hexDigitValue else {
                    throw fault("expected four hexadecimal digits")
                }
                code = code << 4 | UInt32(digit)
                at += 1
            }
            return code
        }

        /// A number as the standard writes it; Swift's own readers take more (`01`, `+1`, `1.`, `.5`, `1e999`).
        mutating func number() throws(ForgeError) -> JSON {
            let start = at
            skip("-")
            let digits = skipDigits()
            let leading = digits > 1 && bytes[at - digits] == UInt8(ascii: "0")
            var isWhole = true
            var isNumber = digits > 0 && !leading
            if skip(".") {
                isWhole = false
                isNumber = skipDigits() > 0 && isNumber
            }
            if skip("e") || skip("E") {
                isWhole = false
                if !skip("+") { skip("-") }
                isNumber = skipDigits() > 0 && isNumber
            }
            let text = String(decoding: bytes[start..<at], as: UTF8.self)
            if isNumber, isWhole, let value = Int64(text) { return .int(value) }
            guard isNumber, let value = Double(text), value.isFinite else {
                at = start
                throw fault("expected a value")
            }
            return .double(value)
        }

        @discardableResult
        private mutating func skip(_ character: Unicode.Scalar) -> Bool {
            guard at < bytes.count, bytes[at] == UInt8(ascii: character) else { return false }
            at += 1
            return true
        }

        /// How many digits there were.
        private mutating func skipDigits() -> Int {
            let start = at
            while at < bytes.count, (0x30...0x39).contains(bytes[at]) { at += 1 }
            return at - start
        }
    }
}
