/// The documented exit codes of `forge`.
package enum ExitCode: Int32, Sendable {
    case done = 0
    /// A recipe, lock, stage file or command line is wrong.
    case badInput = 2
    /// The host lacks something that forge needs.
    case unsupportedHost = 3
    /// The network or a mirror failed.
    case network = 4
    /// A file, disk or cache operation failed.
    case io = 5
    /// A stage ran and failed.
    case stageFailed = 6
    /// A digest or signature does not hold.
    case verification = 7
    /// A mistake in forge.
    case bug = 70
    /// Stopped by the user.
    case interrupted = 130
}

/// A place in a text file, as editors count: lines and columns from one.
package struct SourceLocation: Hashable, Sendable, Comparable, CustomStringConvertible {
    package var file: String
    package var line: Int
    package var column: Int

    package init(file: String, line: Int, column: Int) {
        self.file = file
        self.line = line
        self.column = column
    }

    package var description: String { "\(file):\(line):\(column)" }

    package static func < (lhs: SourceLocation, rhs: SourceLocation) -> Bool {
        lhs.file != rhs.file
            ? lhs.file.precedes(rhs.file) : (lhs.line, lhs.column) < (rhs.line, rhs.column)
    }
}

/// What a person is told when something can't be done: what, where, why, and what to do next.
package struct ForgeError: Error, Sendable, Equatable, CustomStringConvertible {
    package var code: ExitCode
    /// What went wrong, one line.
    package var message: String
    package var location: SourceLocation?
    /// Why: lines below the message.
    package var details: [String]
    /// What to do next, one line.
    package var remedy: String?
    /// The object of the cache that is missing or damaged, where that is the cause: whoever has made it can make it again.
    package var object: Digest?

    package init(
        _ code: ExitCode, _ message: String, at location: SourceLocation? = nil, details: [String] = [],
        remedy: String? = nil
    ) {
        self.code = code
        self.message = message
        self.location = location
        self.details = details
        self.remedy = remedy
    }

    /// The whole text, as `forge` prints it after `error: `.
    package var description: String {
        var text = location.map { "\($0): " } ?? ""
        text += message
        for detail in details { text += "\n  \(detail)" }
        if let remedy { text += "\n  → \(remedy)" }
        return text
    }

    /// For the helper's protocol.
    package var json: JSON {
        var fields: [(String, JSON)] = [("code", .int(Int64(code.rawValue))), ("message", .string(message))]
        if let location {
            fields.append(("file", .string(location.file)))
            fields.append(("line", .int(Int64(location.line))))
            fields.append(("column", .int(Int64(location.column))))
        }
        fields.append(("details", .array(details.map(JSON.string))))
        if let remedy { fields.append(("remedy", .string(remedy))) }
        if let object { fields.append(("object", .string(object.description))) }
        return .object(fields)
    }

    package init?(json: JSON) {
        guard let code = json["code"]?.int.flatMap({ ExitCode(rawValue: Int32(truncatingIfNeeded: $0)) }),
            let message = json["message"]?.string
        else { return nil }
        self.init(code, message)
        if let file = json["file"]?.string, let line = json["line"]?.int, let column = json["column"]?.int {
            location = SourceLocation(file: file, line: Int(line), column: Int(column))
        }
        details = (json["details"]?.array ?? []).compactMap(\.string)
        remedy = json["remedy"]?.string
        object = json["object"]?.string.flatMap { Digest($0) }
    }
}

/// Several faults found in one pass, reported together, in the order of the files.
package struct ForgeErrors: Error, Sendable, CustomStringConvertible {
    package var errors: [ForgeError]

    package init(_ errors: [ForgeError]) {
        self.errors = errors.sorted { lhs, rhs in
            switch (lhs.location, rhs.location) {
            case (let left?, let right?): left < right
            case (nil, .some): true
            default: false
            }
        }
    }

    package var description: String { errors.map(\.description).joined(separator: "\n") }
}
