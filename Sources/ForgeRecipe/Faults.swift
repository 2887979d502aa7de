package import ForgeBase

/// Something in a recipe that is no error but probably not meant.
package struct RecipeWarning: Sendable, Equatable, CustomStringConvertible {
    package var message: String
    package var location: SourceLocation

    /// The whole text, as `forge` prints it after `warning: `.
    package var description: String { "\(location): \(message)" }
}

/// Gathers every fault of a pass, so that a person mends them in one go.
///
/// A class, because readers of nested values all add to the same list.
final class Faults {
    private(set) var errors: [ForgeError] = []
    private(set) var warnings: [RecipeWarning] = []
    /// Places whose value is unknown because of a fault: what would be said of the value there only hides the cause.
    private var silenced: Set<SourceLocation> = []

    func add(_ message: String, at location: SourceLocation, details: [String] = [], remedy: String? = nil) {
        guard !silenced.contains(location) else { return }
        errors.append(ForgeError(.badInput, message, at: location, details: details, remedy: remedy))
    }

    /// No more faults are added at this place.
    func silence(_ location: SourceLocation) { silenced.insert(location) }

    func add(_ error: ForgeError) { errors.append(error) }

    /// Adds whatever was thrown: one error or several.
    func add(thrown error: any Error) {
        switch error {
        case let several as ForgeErrors: errors += several.errors
        case let one as ForgeError: errors.append(one)
        default: errors.append(ForgeError(.bug, "\(error)"))
        }
    }

    func warn(_ message: String, at location: SourceLocation) {
        warnings.append(RecipeWarning(message: message, location: location))
    }

    /// - Throws: `ForgeErrors` if there is any.
    func check() throws(ForgeErrors) {
        if !errors.isEmpty { throw ForgeErrors(errors) }
    }
}

/// The keys of a mapping, taken one by one; what nobody took is unknown.
final class Fields {
    /// What the mapping describes, for messages: `stage “base”`.
    let what: String
    let location: SourceLocation
    let faults: Faults
    private let entries: [YAMLEntry]
    /// With repeats; hashing would cost more than the few comparisons.
    private var known: [String] = []

    /// Nil, with a fault, if the node is no mapping.
    init?(_ node: YAMLNode, _ what: String, _ faults: Faults) {
        guard case .mapping(let entries) = node.content else {
            faults.add("\(what) must be a mapping, not \(node.kindName)", at: node.location)
            return nil
        }
        self.what = what
        self.location = node.location
        self.faults = faults
        self.entries = entries
    }

    /// The value of a key, and where the key is; nil if it is not given.
    func entry(_ key: String) -> YAMLEntry? {
        known.append(key)
        return entries.first { $0.key == key }
    }

    func node(_ key: String) -> YAMLNode? { entry(key)?.value }

    /// The value of a key that must be there.
    func required(_ key: String) -> YAMLNode? {
        if let node = node(key) { return node }
        faults.add("\(what) lacks “\(key)”", at: location)
        return nil
    }

    func string(_ key: String, required: Bool = false) -> String? {
        guard let node = required ? self.required(key) : node(key) else { return nil }
        return text(node, "“\(key)” of \(what)")
    }

    /// A string, or nil with a fault.
    func text(_ node: YAMLNode, _ name: String) -> String? {
        if case .string(let text) = node.content { return text }
        var remedy: String?
        switch node.content {
        case .bool(let value): remedy = "quote it: \"\(value)\""
        case .int(let value): remedy = "quote it: \"\(value)\""
        default: break
        }
        faults.add("\(name) must be a string, not \(node.kindName)", at: node.location, remedy: remedy)
        return nil
    }

    func bool(_ key: String) -> Bool? {
        guard let node = node(key) else { return nil }
        if case .bool(let value) = node.content { return value }
        faults.add("“\(key)” of \(what) must be true or false, not \(node.kindName)", at: node.location)
        return nil
    }

    func int(_ key: String, _ range: ClosedRange<Int64>) -> Int64? {
        guard let node = node(key) else { return nil }
        if case .int(let value) = node.content, range.contains(value) { return value }
        let limits =
            range.upperBound == .max
            ? "of at least \(range.lowerBound)" : "from \(range.lowerBound) to \(range.upperBound)"
        faults.add("“\(key)” of \(what) must be an integer \(limits), not \(node.kindName)", at: node.location)
        return nil
    }

    /// Bytes: an integer, or a text such as `512M`.
    func size(_ key: String) -> Int64? {
        guard let node = node(key) else { return nil }
        switch node.content {
        case .int(let value) where value > 0: return value
        case .string(let text): if let value = ByteSize.parse(text) { return value }
        default: break
        }
        faults.add("“\(key)” of \(what) must be a size such as 512M or 2G, not \(node.kindName)", at: node.location)
        return nil
    }

    /// Seconds: an integer, or a text such as `90s`, `30m`, `2h` or `1d`.
    func duration(_ key: String) -> Int64? {
        guard let node = node(key) else { return nil }
        switch node.content {
        case .int(let value) where (1...TimeLimit.longest).contains(value): return value
        case .string(let text): if let value = TimeLimit.parse(text) { return value }
        default: break
        }
        faults.add(
            "“\(key)” of \(what) must be a time such as 90s, 30m or 2h, not \(node.kindName)", at: node.location)
        return nil
    }

    /// One of a few words.
    func word(_ key: String, of words: [String], required: Bool = false) -> String? {
        guard let node = required ? self.required(key) : node(key) else { return nil }
        return word(node, "“\(key)” of \(what)", of: words)
    }

    func word(_ node: YAMLNode, _ name: String, of words: [String]) -> String? {
        guard let text = text(node, name) else { return nil }
        if words.contains(text) { return text }
        let hint = Suggestion.hint(for: text, in: words)
        faults.add("\(name) must be one of \(words.joined(separator: ", ")), not “\(text)”\(hint)", at: node.location)
        return nil
    }

    /// The entries of a mapping below a key, empty if it is not given.
    func mapping(_ key: String) -> [YAMLEntry] {
        guard let node = node(key) else { return [] }
        if case .mapping(let entries) = node.content { return entries }
        if case .null = node.content { return [] }
        faults.add("“\(key)” of \(what) must be a mapping, not \(node.kindName)", at: node.location)
        return []
    }

    /// The items of a list below a key, empty if it is not given.
    func list(_ key: String) -> [YAMLNode] {
        guard let node = node(key) else { return [] }
        if case .sequence(let items) = node.content { return items }
        if case .null = node.content { return [] }
        faults.add("“\(key)” of \(what) must be a list, not \(node.kindName)", at: node.location)
        return []
    }

    func strings(_ key: String) -> [String] { list(key).compactMap { text($0, "an item of “\(key)” of \(what)") } }

    /// Reports the keys that nobody asked for.
    func finish() {
        for entry in entries where !known.contains(entry.key) {
            let hint = Suggestion.hint(for: entry.key, in: known)
            let names = Set(known).sorted { $0.precedes($1) }
            faults.add(
                "unknown key “\(entry.key)” in \(what)\(hint)", at: entry.keyLocation,
                remedy: "known keys: \(names.joined(separator: ", "))")
        }
    }
}
