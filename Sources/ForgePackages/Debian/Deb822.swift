package import ForgeBase

/// One paragraph of a Debian control file: fields in the order of the file, values as text.
///
/// For small files (Release, sources, control). Package indexes have 60,000 paragraphs and a reader of their own,
/// `PackageIndex`. Format: deb822(5).
package struct Deb822Stanza: Sendable {
    /// One field. Continuation lines keep their newlines; leading space and trailing space are gone.
    package struct Field: Sendable {
        package var name: String
        package var value: String
        /// Line of the field's name, from one.
        package var line: Int
    }

    package private(set) var fields: [Field] = []

    /// The value of a field; names are compared without case.
    package subscript(name: String) -> String? { field(name)?.value }

    /// A field by name, compared without case.
    package func field(_ name: String) -> Field? {
        fields.first { $0.name.utf8.count == name.utf8.count && $0.name.lowercased() == name.lowercased() }
    }

    /// The words of a field that are separated by white space; empty if there is no such field.
    package func words(_ name: String) -> [String] {
        (self[name] ?? "").split { $0 == " " || $0 == "\t" || $0 == "\n" }.map(String.init)
    }

    /// Reads every paragraph of a text. Lines that start with `#` are comments.
    /// - Parameter file: the name that errors carry.
    package static func parse(_ bytes: [UInt8], file: String) throws(ForgeError) -> [Deb822Stanza] {
        var stanzas: [Deb822Stanza] = []
        var current = Deb822Stanza()
        var number = 0
        for line in bytes.split(separator: UInt8(ascii: "\n"), omittingEmptySubsequences: false) {
            number += 1
            if line.allSatisfy({ $0 == 0x20 || $0 == 0x09 || $0 == 0x0d }) {
                if !current.fields.isEmpty { stanzas.append(current) }
                current = Deb822Stanza()
            } else if line.first == UInt8(ascii: "#") {
                continue
            } else {
                try current.add(line, number: number, file: file)
            }
        }
        if !current.fields.isEmpty { stanzas.append(current) }
        return stanzas
    }

    private mutating func add(_ line: ArraySlice<UInt8>, number: Int, file: String) throws(ForgeError) {
        if line.first == 0x20 || line.first == 0x09 {
            guard !fields.isEmpty else {
                throw Deb822Stanza.fault("a continuation line without a field before it", file, number)
            }
            let more = Deb822Stanza.trimmed(line)
            fields[fields.count - 1].value += "\n" + (more == "." ? "" : more)
            return
        }
        guard let colon = line.firstIndex(of: UInt8(ascii: ":")), colon > line.startIndex else {
            throw Deb822Stanza.fault("expected “Field: value”", file, number)
        }
        let name = String(decoding: line[..<colon], as: UTF8.self)
        if field(name) != nil { throw Deb822Stanza.fault("field “\(name)” appears twice", file, number) }
        fields.append(Field(name: name, value: Deb822Stanza.trimmed(line[(colon + 1)...]), line: number))
    }

    private static func trimmed(_ bytes: ArraySlice<UInt8>) -> String {
        var rest = bytes
        while let first = rest.first, first == 0x20 || first == 0x09 { rest.removeFirst() }
        while let last = rest.last, last == 0x20 || last == 0x09 || last == 0x0d { rest.removeLast() }
        return String(decoding: rest, as: UTF8.self)
    }

    private static func fault(_ message: String, _ file: String, _ line: Int) -> ForgeError {
        ForgeError(
            .verification, "not a control file: \(message)", at: SourceLocation(file: file, line: line, column: 1))
    }
}
