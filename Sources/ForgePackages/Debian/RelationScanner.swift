/// How a version is compared in a dependency: `(>= 1.2)`.
package enum VersionOperator: UInt8, Sendable {
    case any, less, lessOrEqual, equal, greaterOrEqual, greater

    /// Whether a version, compared with the wanted one (less than, zero, more than zero), satisfies it.
    package func accepts(_ order: Int) -> Bool {
        switch self {
        case .any: true
        case .less: order < 0
        case .lessOrEqual: order <= 0
        case .equal: order == 0
        case .greaterOrEqual: order >= 0
        case .greater: order > 0
        }
    }

    package var text: String {
        switch self {
        case .any: ""
        case .less: "<<"
        case .lessOrEqual: "<="
        case .equal: "="
        case .greaterOrEqual: ">="
        case .greater: ">>"
        }
    }
}

/// Walks a relationship field, `a (>= 1) | b:any [amd64] <!nocheck>, c`, without copying it.
/// Syntax: Debian policy, chapter 7. Positions are offsets in `bytes`.
struct RelationScanner {
    /// One alternative.
    struct Element {
        var name: Range<Int>
        /// The architecture behind `:`; empty if there is none.
        var qualifier: Range<Int>
        var comparison = VersionOperator.any
        var version: Range<Int>
        /// The text between `[` and `]`; empty if there is none.
        var architectures: Range<Int>
        /// Whether another alternative of the same group follows (`|`).
        var hasNext = false
    }

    /// What was not understood, and where.
    struct Fault: Error {
        var message: String
        var offset: Int
    }

    let bytes: UnsafeBufferPointer<UInt8>
    private var at: Int
    private let end: Int

    init(_ bytes: UnsafeBufferPointer<UInt8>, _ range: Range<Int>) {
        self.bytes = bytes
        at = range.lowerBound
        end = range.upperBound
    }

    /// The next alternative, or nil at the end.
    mutating func next() throws(Fault) -> Element? {
        skipSpace()
        // Empty groups (`a, , b` and a comma at the end) are common in hand-written fields and mean nothing.
        while at < end, bytes[at] == UInt8(ascii: ",") {
            at += 1
            skipSpace()
        }
        guard at < end else { return nil }
        var element = Element(
            name: try word("a package name"), qualifier: at..<at, version: at..<at, architectures: at..<at)
        if at < end, bytes[at] == UInt8(ascii: ":") {
            at += 1
            element.qualifier = try word("an architecture")
        }
        skipSpace()
        while at < end {
            switch bytes[at] {
            case UInt8(ascii: "("): try version(of: &element)
            case UInt8(ascii: "["): element.architectures = try bracket(UInt8(ascii: "]"))
            case UInt8(ascii: "<"): _ = try bracket(UInt8(ascii: ">"))
            case UInt8(ascii: "|"):
                element.hasNext = true
                at += 1
                return element
            case UInt8(ascii: ","):
                at += 1
                return element
            default: throw Fault(message: "expected “,” or “|”", offset: at)
            }
            skipSpace()
        }
        return element
    }

    private mutating func skipSpace() {
        while at < end, bytes[at] == 0x20 || bytes[at] == 0x0a || bytes[at] == 0x09 || bytes[at] == 0x0d { at += 1 }
    }

    private mutating func word(_ what: String) throws(Fault) -> Range<Int> {
        let start = at
        while at < end {
            let byte = bytes[at]
            let letter = byte | 0x20
            // Upper case and `_` are against policy but occur in third parties' archives.
            guard
                (letter >= 0x61 && letter <= 0x7a) || (byte >= 0x30 && byte <= 0x39) || byte == 0x2b || byte == 0x2d
                    || byte == 0x2e || byte == 0x5f
            else { break }
            at += 1
        }
        guard at > start else { throw Fault(message: "expected \(what)", offset: at) }
        return start..<at
    }

    private mutating func bracket(_ close: UInt8) throws(Fault) -> Range<Int> {
        let start = at + 1
        while at < end, bytes[at] != close { at += 1 }
        guard at < end else { throw Fault(message: "a bracket is not closed", offset: start - 1) }
        at += 1
        return start..<(at - 1)
    }

    private mutating func version(of element: inout Element) throws(Fault) {
        at += 1
        skipSpace()
        let start = at
        while at < end, bytes[at] == 0x3c || bytes[at] == 0x3d || bytes[at] == 0x3e { at += 1 }
        switch (at - start, at > start ? bytes[start] : 0, at > start ? bytes[at - 1] : 0) {
        case (2, 0x3e, 0x3d): element.comparison = .greaterOrEqual
        case (2, 0x3c, 0x3d): element.comparison = .lessOrEqual
        case (2, 0x3e, 0x3e): element.comparison = .greater
        case (2, 0x3c, 0x3c): element.comparison = .less
        case (1, 0x3d, _): element.comparison = .equal
        // The old forms `<` and `>` mean "or equal", as dpkg reads them.
        case (1, 0x3c, _): element.comparison = .lessOrEqual
        case (1, 0x3e, _): element.comparison = .greaterOrEqual
        default: throw Fault(message: "expected <<, <=, =, >= or >>", offset: start)
        }
        skipSpace()
        let versionStart = at
        while at < end, bytes[at] != UInt8(ascii: ")"), bytes[at] != 0x20 { at += 1 }
        element.version = versionStart..<at
        skipSpace()
        guard at < end, bytes[at] == UInt8(ascii: ")"), !element.version.isEmpty else {
            throw Fault(message: "expected a version and “)”", offset: at)
        }
        at += 1
    }
}
