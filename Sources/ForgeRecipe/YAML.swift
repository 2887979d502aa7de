package import ForgeBase

/// A value of a YAML text, with the place it was written at.
package struct YAMLNode: Sendable {
    package enum Content: Sendable, Equatable {
        case null
        case bool(Bool)
        case int(Int64)
        case string(String)
        case sequence([YAMLNode])
        case mapping([YAMLEntry])
    }

    package var content: Content
    package var location: SourceLocation

    package init(_ content: Content, at location: SourceLocation) {
        self.content = content
        self.location = location
    }

    /// What the node is, for error messages.
    package var kindName: String {
        switch content {
        case .null: "nothing"
        case .bool(let value): "\(value)"
        case .int(let value): "the number \(value)"
        case .string(let text): text.utf8.count > 40 ? "a text" : "“\(text)”"
        case .sequence: "a list"
        case .mapping: "a mapping"
        }
    }

    /// The same value without places; fields keep their order.
    package var json: JSON {
        switch content {
        case .null: .null
        case .bool(let value): .bool(value)
        case .int(let value): .int(value)
        case .string(let text): .string(text)
        case .sequence(let items): .array(items.map(\.json))
        case .mapping(let entries): .object(entries.map { ($0.key, $0.value.json) })
        }
    }
}

/// Equal if the values are equal, wherever they were written.
extension YAMLNode: Equatable {
    package static func == (lhs: YAMLNode, rhs: YAMLNode) -> Bool { lhs.content == rhs.content }
}

/// One `key: value` of a mapping.
package struct YAMLEntry: Sendable, Equatable {
    package var key: String
    package var keyLocation: SourceLocation
    package var value: YAMLNode

    package init(key: String, keyLocation: SourceLocation, value: YAMLNode) {
        self.key = key
        self.keyLocation = keyLocation
        self.value = value
    }

    package static func == (lhs: YAMLEntry, rhs: YAMLEntry) -> Bool { lhs.key == rhs.key && lhs.value == rhs.value }
}

/// Reads the part of YAML 1.2 that configuration needs.
///
/// A plain scalar is `null` (also `~` and nothing), `true`, `false`, a decimal integer without leading zeros, or else a
/// string: `on`, `yes`, `1.30` and `0644` are strings, so that versions and modes survive. Quoted scalars are always
/// strings. Anchors and aliases work, up to a limit of expanded values. Tags, several documents in a file, duplicate
/// keys and keys that are no scalars are refused.
package enum YAML {
    /// Bytes of the largest text that is read.
    package static let largestText = 64 << 20
    /// The deepest nesting of lists and mappings.
    package static let deepestNesting = 64
    /// Values that aliases may add to those that are written, of which each takes a byte at least.
    package static let mostValues = 200_000

    /// Parses one document; an empty one is `null`.
    /// - Parameter file: the name that places carry.
    /// - Throws: `ForgeErrors`, each with its place.
    package static func parse(_ bytes: [UInt8], file: String) throws(ForgeErrors) -> YAMLNode {
        let start = SourceLocation(file: file, line: 1, column: 1)
        guard bytes.count <= largestText else {
            throw ForgeErrors([ForgeError(.badInput, "the file is larger than \(largestText >> 20) MiB", at: start)])
        }
        guard String(validating: bytes, as: UTF8.self) != nil else {
            throw ForgeErrors([ForgeError(.badInput, "not valid UTF-8", at: invalidPlace(in: bytes, file: file))])
        }
        let result: Result<YAMLNode, ForgeErrors> = bytes.withUnsafeBufferPointer { buffer in
            var composer = YAMLComposer(events: YAMLEvents(buffer, file: file), length: buffer.count)
            do throws(ForgeErrors) { return .success(try composer.document()) } catch { return .failure(error) }
        }
        return try result.get()
    }

    /// The value of a plain scalar.
    package static func plain(_ text: String) -> YAMLNode.Content {
        switch text {
        case "", "~", "null": return .null
        case "true": return .bool(true)
        case "false": return .bool(false)
        default:
            let digits = text.utf8.first == UInt8(ascii: "-") ? text.utf8.dropFirst() : text.utf8[...]
            guard let first = digits.first, digits.allSatisfy({ (0x30...0x39).contains($0) }),
                first != UInt8(ascii: "0") || text == "0", let value = Int64(text)
            else { return .string(text) }
            return .int(value)
        }
    }

    /// Where the first byte is that belongs to no UTF-8 character.
    private static func invalidPlace(in bytes: [UInt8], file: String) -> SourceLocation {
        var line = 1
        for text in bytes.split(separator: UInt8(ascii: "\n"), omittingEmptySubsequences: false) {
            if String(validating: text, as: UTF8.self) == nil {
                // A character is at most four bytes, so the longest valid beginning is found within four tries of any end.
                var valid = 0
                for end in 0...text.count {
                    if let beginning = String(validating: text.prefix(end), as: UTF8.self) {
                        valid = beginning.unicodeScalars.count
                    } else if end > valid * 4 + 4 {
                        break
                    }
                }
                return SourceLocation(file: file, line: line, column: valid + 1)
            }
            line += 1
        }
        return SourceLocation(file: file, line: line, column: 1)
    }
}

/// Makes the tree of values from libyaml's events.
private struct YAMLComposer: ~Copyable {
    private let events: YAMLEvents
    private var faults: [ForgeError] = []
    private var anchors: [String: (node: YAMLNode, size: Int)] = [:]
    /// Values so far, expanded aliases counted in full.
    private var size = 0
    private let largest: Int

    init(events: consuming YAMLEvents, length: Int) {
        self.events = events
        largest = YAML.mostValues + length
    }

    mutating func document() throws(ForgeErrors) -> YAMLNode {
        let node: YAMLNode
        do throws(ForgeError) { node = try content() } catch { throw ForgeErrors(faults + [error]) }
        guard faults.isEmpty else { throw ForgeErrors(faults) }
        return node
    }

    private mutating func content() throws(ForgeError) -> YAMLNode {
        var root: YAMLNode?
        while true {
            let event = try events.next()
            switch event.kind {
            case .streamStart, .documentEnd: continue
            case .streamEnd: return root ?? YAMLNode(.null, at: event.location)
            case .documentStart:
                guard root == nil else {
                    throw ForgeError(
                        .badInput, "more than one YAML document in the file", at: event.location,
                        remedy: "remove the `---` line and what follows it")
                }
            default: root = try node(event, depth: 0)
            }
        }
    }

    private mutating func node(_ event: YAMLEvents.Event, depth: Int) throws(ForgeError) -> YAMLNode {
        guard depth <= YAML.deepestNesting else {
            throw ForgeError(.badInput, "nested deeper than \(YAML.deepestNesting) levels", at: event.location)
        }
        if event.tagged {
            faults.append(
                ForgeError(
                    .badInput, "YAML tags are not supported", at: event.location,
                    remedy: "leave the tag out; quote a scalar to make it a string"))
        }
        let before = size
        try grow(by: 1, at: event.location)
        let content: YAMLNode.Content
        switch event.kind {
        case .scalar(let text, let plain): content = plain ? YAML.plain(text) : .string(text)
        case .alias(let name): return try expand(name, at: event.location)
        case .sequenceStart: content = try sequence(depth: depth)
        case .mappingStart: content = try mapping(depth: depth)
        default: throw ForgeError(.bug, "unexpected event from libyaml", at: event.location)
        }
        let node = YAMLNode(content, at: event.location)
        if let anchor = event.anchor { anchors[anchor] = (node, size - before) }
        return node
    }

    private mutating func grow(by count: Int, at location: SourceLocation) throws(ForgeError) {
        size += count
        guard size <= largest else {
            throw ForgeError(.badInput, "aliases expand to more than \(YAML.mostValues) values", at: location)
        }
    }

    private mutating func expand(_ name: String, at location: SourceLocation) throws(ForgeError) -> YAMLNode {
        guard let anchor = anchors[name] else {
            let hint = Suggestion.hint(for: name, in: anchors.keys)
            throw ForgeError(.badInput, "no anchor “&\(name)” before this alias\(hint)", at: location)
        }
        try grow(by: anchor.size, at: location)
        return anchor.node
    }

    private mutating func sequence(depth: Int) throws(ForgeError) -> YAMLNode.Content {
        var items: [YAMLNode] = []
        while true {
            let event = try events.next()
            if case .sequenceEnd = event.kind { return .sequence(items) }
            items.append(try node(event, depth: depth + 1))
        }
    }

    private mutating func mapping(depth: Int) throws(ForgeError) -> YAMLNode.Content {
        var entries: [YAMLEntry] = []
        // Most mappings are so small that comparing beats hashing; large ones must not take quadratic time.
        var lines: [String: Int] = [:]
        while true {
            let event = try events.next()
            let key: String
            switch event.kind {
            case .mappingEnd: return .mapping(entries)
            case .scalar(let text, _): key = text
            default: throw ForgeError(.badInput, "the key of a mapping must be a word", at: event.location)
            }
            if event.tagged { faults.append(ForgeError(.badInput, "YAML tags are not supported", at: event.location)) }
            let value = try node(try events.next(), depth: depth + 1)
            if entries.count == 16 {
                for entry in entries { lines[entry.key] = entry.keyLocation.line }
            }
            let earlier =
                entries.count < 16 ? entries.first { $0.key == key }?.keyLocation.line : lines[key]
            if let line = earlier {
                faults.append(
                    ForgeError(.badInput, "“\(key)” is already given in line \(line)", at: event.location))
                continue
            }
            if entries.count >= 16 { lines[key] = event.location.line }
            entries.append(YAMLEntry(key: key, keyLocation: event.location, value: value))
        }
    }
}
