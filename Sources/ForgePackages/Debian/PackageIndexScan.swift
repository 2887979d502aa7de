import ForgeBase
import Glibc

extension PackageIndex {
    /// The fields that the resolver reads. Relationships stand in the order in which apt reads them.
    private enum Field: Int, CaseIterable {
        case package, version, architecture, multiArch, essential, protected, important, priority, hash
        case preDepends, depends, conflicts, breaks, recommends, suggests, replaces, enhances, provides
    }

    /// Where the fields of one stanza lie; empty ranges for fields that it lacks.
    private struct Fields {
        var ranges = Array(repeating: 0..<0, count: Field.allCases.count)

        subscript(field: Field) -> Range<Int> {
            get { ranges[field.rawValue] }
            set { ranges[field.rawValue] = newValue }
        }

        mutating func clear() { for i in ranges.indices { ranges[i] = 0..<0 } }
    }

    /// Reads every stanza of the text that was added last.
    mutating func scan(_ bytes: UnsafeBufferPointer<UInt8>, file: String) throws(ForgeError) {
        guard let base = bytes.baseAddress else { return }
        // C libraries read the same text, and would stop there.
        if let zero = memchr(base, 0, bytes.count) {
            throw fault(bytes, UnsafeRawPointer(zero) - UnsafeRawPointer(base), file, "a byte of zero")
        }
        var fields = Fields()
        var at = 0
        var start = 0
        var last: Field?
        var isEmpty = true
        while at < bytes.count {
            let end =
                memchr(base + at, 0x0a, bytes.count - at).map {
                    UnsafePointer($0.assumingMemoryBound(to: UInt8.self)) - base
                } ?? bytes.count
            let first = bytes[at]
            if end == at || first == 0x0d {
                if !isEmpty { try add(bytes, start..<at, fields, file) }
                fields.clear()
                isEmpty = true
                start = end + 1
            } else if first == 0x20 || first == 0x09 {
                if let last { fields[last] = fields[last].lowerBound..<end }
            } else {
                let colon = memchr(base + at, 0x3a, end - at).map {
                    UnsafePointer($0.assumingMemoryBound(to: UInt8.self)) - base
                }
                guard let colon, colon > at else { throw fault(bytes, at, file, "expected “Field: value”") }
                isEmpty = false
                last = PackageIndex.field(UnsafeBufferPointer(rebasing: bytes[at..<colon]))
                if let last {
                    var value = colon + 1
                    while value < end, bytes[value] == 0x20 || bytes[value] == 0x09 { value += 1 }
                    // Readers differ in which of two they take.
                    guard fields[last].lowerBound == 0 else { throw fault(bytes, at, file, "a field appears twice") }
                    fields[last] = value..<end
                }
            }
            at = end + 1
        }
        if !isEmpty { try add(bytes, start..<bytes.count, fields, file) }
    }

    /// The field that a name in the file means, if it matters here. By length first: most lines are ruled out at once.
    private static func field(_ name: UnsafeBufferPointer<UInt8>) -> Field? {
        guard let start = name.baseAddress else { return nil }
        func matches(_ text: StaticString) -> Bool { strncasecmp(start, text.utf8Start, name.count) == 0 }
        switch name.count {
        case 6: return matches("Breaks") ? .breaks : matches("SHA256") ? .hash : nil
        case 7:
            switch name[0] | 0x20 {
            case UInt8(ascii: "p"): return matches("Package") ? .package : nil
            case UInt8(ascii: "v"): return matches("Version") ? .version : nil
            case UInt8(ascii: "d"): return matches("Depends") ? .depends : nil
            default: return nil
            }
        case 8:
            return matches("Provides")
                ? .provides
                : matches("Priority")
                    ? .priority
                    : matches("Suggests")
                        ? .suggests
                        : matches("Replaces") ? .replaces : matches("Enhances") ? .enhances : nil
        case 9:
            return matches("Conflicts")
                ? .conflicts
                : matches("Essential")
                    ? .essential
                    : matches("Protected") ? .protected : matches("Important") ? .important : nil
        case 10: return matches("Recommends") ? .recommends : matches("Multi-Arch") ? .multiArch : nil
        case 11: return matches("Pre-Depends") ? .preDepends : nil
        case 12: return matches("Architecture") ? .architecture : nil
        default: return nil
        }
    }

    private mutating func add(
        _ bytes: UnsafeBufferPointer<UInt8>, _ stanza: Range<Int>, _ fields: Fields, _ file: String
    ) throws(ForgeError) {
        guard !fields[.package].isEmpty, !fields[.version].isEmpty, !fields[.architecture].isEmpty else {
            throw fault(bytes, stanza.lowerBound, file, "an entry without Package, Version or Architecture")
        }
        let architecture = trimmed(bytes, fields[.architecture])
        let isAll = PackageIndex.equals(bytes, architecture, "all")
        guard isAll || PackageIndex.equals(bytes, architecture, self.architecture) else { return }
        let source = Int32(texts.count - 1)
        let nameRange = trimmed(bytes, fields[.package])
        let versionRange = trimmed(bytes, fields[.version])
        for range in [nameRange, versionRange] {
            guard !range.isEmpty, bytes[range].allSatisfy({ $0 > 0x20 && $0 != 0x7f }) else {
                throw fault(bytes, range.lowerBound, file, "a Package or Version that is no word")
            }
        }
        let name = intern(UnsafeBufferPointer(rebasing: bytes[nameRange]))
        if let known = known(name, bytes, versionRange, hash: fields[.hash]) {
            addOrigin(source, to: known)
            return
        }
        var version = Version(name: name, source: source, stanza: narrow(stanza), version: narrow(versionRange))
        version.isAllArchitectures = isAll
        version.isEssential = PackageIndex.equals(bytes, trimmed(bytes, fields[.essential]), "yes")
        version.isProtected =
            PackageIndex.equals(bytes, trimmed(bytes, fields[.protected]), "yes")
            || PackageIndex.equals(bytes, trimmed(bytes, fields[.important]), "yes")
        version.priority = PackageIndex.priority(bytes, trimmed(bytes, fields[.priority]))
        version.origins = [source]
        let first = Int32(relations.count)
        try relate(bytes, fields[.preDepends], file)
        try relate(bytes, fields[.depends], file)
        version.depends = first..<Int32(relations.count)
        try relate(bytes, fields[.conflicts], file)
        try relate(bytes, fields[.breaks], file)
        version.conflicts = version.depends.upperBound..<Int32(relations.count)
        try relate(bytes, fields[.recommends], file)
        version.recommends = version.conflicts.upperBound..<Int32(relations.count)
        // Read for the order of names only.
        for field in [Field.suggests, .replaces, .enhances] { try relate(bytes, fields[field], file, keep: false) }
        try relate(bytes, fields[.provides], file)
        version.provides = version.recommends.upperBound..<Int32(relations.count)
        if PackageIndex.equals(bytes, trimmed(bytes, fields[.multiArch]), "allowed") {
            provideAny(name, version: version.version)
            version.provides = version.provides.lowerBound..<Int32(relations.count)
        }
        append(version)
    }

    /// `Multi-Arch: allowed` lets a package satisfy dependencies on `name:any`, as if it provided that name.
    private mutating func provideAny(_ name: Int32, version: Range<UInt32>) {
        let any = Array(names.bytes(name)) + Array(":any".utf8)
        let id = any.withUnsafeBufferPointer { intern($0) }
        append(
            Relation(name: id, comparison: .equal, hasNext: false, version: version, source: Int32(texts.count - 1)))
    }

    /// A version that is already there under the same name, version and SHA-256.
    private func known(
        _ name: Int32, _ bytes: UnsafeBufferPointer<UInt8>, _ version: Range<Int>, hash: Range<Int>
    ) -> Int32? {
        versions(named: name).first { id in
            let other = versions[Int(id)]
            guard versionBytes(other).elementsEqual(bytes[version]) else { return false }
            let text = String(decoding: stanzaBytes(other), as: UTF8.self)
            let hash = String(decoding: bytes[trimmed(bytes, hash)], as: UTF8.self)
            return hash.isEmpty || text.contains(hash)
        }
    }

    private mutating func relate(
        _ bytes: UnsafeBufferPointer<UInt8>, _ field: Range<Int>, _ file: String, keep: Bool = true
    ) throws(ForgeError) {
        if field.isEmpty { return }
        var scanner = RelationScanner(bytes, field)
        while true {
            let element: RelationScanner.Element?
            do throws(RelationScanner.Fault) { element = try scanner.next() } catch {
                throw fault(bytes, error.offset, file, "a relationship is malformed: \(error.message)")
            }
            guard let element else { return }
            let name = intern(UnsafeBufferPointer(rebasing: bytes[target(element, bytes)]))
            guard keep else { continue }
            append(
                Relation(
                    name: name, comparison: element.comparison, hasNext: element.hasNext,
                    version: narrow(element.version), source: Int32(texts.count - 1)))
        }
    }

    /// The name with its `:any` or `:<other architecture>`, which make it another name; the own architecture does not.
    private func target(_ element: RelationScanner.Element, _ bytes: UnsafeBufferPointer<UInt8>) -> Range<Int> {
        if element.qualifier.isEmpty || PackageIndex.equals(bytes, element.qualifier, architecture) {
            return element.name
        }
        return element.name.lowerBound..<element.qualifier.upperBound
    }

    private func narrow(_ range: Range<Int>) -> Range<UInt32> { UInt32(range.lowerBound)..<UInt32(range.upperBound) }

    private func trimmed(_ bytes: UnsafeBufferPointer<UInt8>, _ range: Range<Int>) -> Range<Int> {
        var end = range.upperBound
        while end > range.lowerBound, bytes[end - 1] == 0x20 || bytes[end - 1] == 0x09 || bytes[end - 1] == 0x0d {
            end -= 1
        }
        return range.lowerBound..<end
    }

    private static func equals(_ bytes: UnsafeBufferPointer<UInt8>, _ range: Range<Int>, _ text: String) -> Bool {
        range.count == text.utf8.count && bytes[range].elementsEqual(text.utf8)
    }

    private static func priority(_ bytes: UnsafeBufferPointer<UInt8>, _ range: Range<Int>) -> Priority {
        switch String(decoding: bytes[range], as: UTF8.self) {
        case "required": .required
        case "important": .important
        case "standard": .standard
        case "optional": .optional
        default: .extra
        }
    }

    private func fault(
        _ bytes: UnsafeBufferPointer<UInt8>, _ offset: Int, _ file: String, _ message: String
    ) -> ForgeError {
        var line = 1
        var start = 0
        for i in 0..<min(offset, bytes.count) where bytes[i] == 0x0a {
            line += 1
            start = i + 1
        }
        return ForgeError(
            .verification, "not a package index: \(message)",
            at: SourceLocation(file: file, line: line, column: offset - start + 1))
    }
}
