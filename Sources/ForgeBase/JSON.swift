/// A JSON value. Objects keep the order of their fields, so that what forge writes is the same every time.
///
/// Ours, because Foundation's coder would double the start-up time of a build that has nothing to do.
package enum JSON: Sendable, Equatable {
    case null
    case bool(Bool)
    case int(Int64)
    /// A number that is no 64-bit integer. Never enters a key.
    case double(Double)
    case string(String)
    case array([JSON])
    case object([(String, JSON)])

    package subscript(key: String) -> JSON? {
        guard case .object(let fields) = self else { return nil }
        return fields.first { $0.0 == key }?.1
    }

    package var string: String? { if case .string(let value) = self { value } else { nil } }
    package var int: Int64? { if case .int(let value) = self { value } else { nil } }
    package var bool: Bool? { if case .bool(let value) = self { value } else { nil } }
    package var array: [JSON]? { if case .array(let value) = self { value } else { nil } }
    package var object: [(String, JSON)]? { if case .object(let value) = self { value } else { nil } }

    package static func == (lhs: JSON, rhs: JSON) -> Bool {
        switch (lhs, rhs) {
        case (.null, .null): true
        case (.bool(let a), .bool(let b)): a == b
        case (.int(let a), .int(let b)): a == b
        case (.double(let a), .double(let b)): a == b
        case (.string(let a), .string(let b)): a == b
        case (.array(let a), .array(let b)): a == b
        case (.object(let a), .object(let b)):
            a.count == b.count && zip(a, b).allSatisfy { $0.0 == $1.0 && $0.1 == $1.1 }
        default: false
        }
    }

    /// The same value with the fields of every object in byte order: one text for one meaning.
    package var canonical: JSON {
        switch self {
        case .array(let values): .array(values.map(\.canonical))
        case .object(let fields):
            .object(fields.map { ($0.0, $0.1.canonical) }.sorted { $0.0.precedes($1.0) })
        default: self
        }
    }
}

// MARK: Writing

extension JSON: CustomStringConvertible {
    /// Compact, on one line.
    package var description: String {
        var out: [UInt8] = []
        write(to: &out, indent: nil)
        return String(decoding: out, as: UTF8.self)
    }

    /// Indented by two spaces. Arrays and objects below `depth` stay on one line, which keeps diffs of locks short.
    package func pretty(depth: Int = Int.max) -> String {
        var out: [UInt8] = []
        write(to: &out, indent: 0, depth: depth)
        out.append(UInt8(ascii: "\n"))
        return String(decoding: out, as: UTF8.self)
    }

    private func write(to out: inout [UInt8], indent: Int?, depth: Int = 0) {
        switch self {
        case .null: out += "null".utf8
        case .bool(let value): out += (value ? "true" : "false").utf8
        case .int(let value): out += String(value).utf8
        case .double(let value): out += (value.isFinite ? String(value) : "null").utf8
        case .string(let value): JSON.write(value, to: &out)
        case .array(let values):
            JSON.list("[", "]", count: values.count, to: &out, indent: indent, depth: depth) { i, out, indent in
                values[i].write(to: &out, indent: indent, depth: depth - 1)
            }
        case .object(let fields):
            JSON.list("{", "}", count: fields.count, to: &out, indent: indent, depth: depth) { i, out, indent in
                JSON.write(fields[i].0, to: &out)
                out += (indent == nil ? ":" : ": ").utf8
                fields[i].1.write(to: &out, indent: indent, depth: depth - 1)
            }
        }
    }

    private static func list(
        _ open: String, _ close: String, count: Int, to out: inout [UInt8], indent: Int?, depth: Int,
        item: (Int, inout [UInt8], Int?) -> Void
    ) {
        let broken = indent.map { depth > 0 && count > 0 ? $0 : nil } ?? nil
        out += open.utf8
        for i in 0..<count {
            if i > 0 { out += (broken == nil && indent != nil ? ", " : ",").utf8 }
            if let broken { out += ("\n" + String(repeating: "  ", count: broken + 1)).utf8 }
            item(i, &out, indent.map { $0 + 1 })
        }
        if let broken { out += ("\n" + String(repeating: "  ", count: broken)).utf8 }
        out += close.utf8
    }

    private static func write(_ text: String, to out: inout [UInt8]) {
        out.append(UInt8(ascii: "\""))
        for byte in text.utf8 {
            switch byte {
            case UInt8(ascii: "\""): out += "\\\"".utf8
            case UInt8(ascii: "\\"): out += "\\\\".utf8
            case UInt8(ascii: "\n"): out += "\\n".utf8
            case UInt8(ascii: "\r"): out += "\\r".utf8
            case UInt8(ascii: "\t"): out += "\\t".utf8
            case 0..<0x20, 0x7f: out += "\\u00\(Hex.encode([byte]))".utf8
            default: out.append(byte)
            }
        }
        out.append(UInt8(ascii: "\""))
    }
}
