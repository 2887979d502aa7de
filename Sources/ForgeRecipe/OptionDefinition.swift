package import ForgeBase

/// What a value may be.
package indirect enum OptionType: Sendable, Equatable {
    case string(TextFormat?)
    case integer(minimum: Int64?, maximum: Int64?)
    case boolean
    case enumeration([String])
    /// A file or directory below the recipe's directory.
    case path
    case list(of: OptionType)
    /// Any keys, values of one type.
    case map(of: OptionType)
    /// Known keys only.
    case object([OptionDefinition])
    case any

    /// The word for the type in `stage.yaml`.
    package var word: String {
        switch self {
        case .string: "string"
        case .integer: "integer"
        case .boolean: "boolean"
        case .enumeration: "enum"
        case .path: "path"
        case .list: "list"
        case .map: "map"
        case .object: "object"
        case .any: "any"
        }
    }

    /// Whether a path can be anywhere in a value.
    package var holdsPath: Bool {
        switch self {
        case .path: true
        case .list(let item), .map(let item): item.holdsPath
        case .object(let fields): fields.contains { $0.type.holdsPath }
        default: false
        }
    }

    static let words = ["string", "integer", "boolean", "enum", "path", "list", "map", "object", "any"]
    /// The types of a recipe's parameters.
    static let parameterWords = ["string", "integer", "boolean", "enum"]
}

/// An option of a stage, a field of an object, or a parameter of a recipe.
package struct OptionDefinition: Sendable, Equatable {
    package var name: String
    package var type: OptionType
    package var summary: String
    package var required: Bool
    /// The value if none is given; already checked against the type.
    package var defaultValue: JSON?
    /// Of an enum, values that mean the same to the stage as another: value → the one that is taken in its place, before
    /// anything is keyed. So what differs in nothing but those is one action.
    package var same: [String: String] = [:]
    package var location: SourceLocation

    /// The value that is taken in place of `value`.
    func meaning(of value: JSON) -> JSON { value.string.flatMap { same[$0] }.map(JSON.string) ?? value }
}

/// Reads option definitions from `stage.yaml` and `recipe.yaml`.
struct OptionDefinitionReader {
    let faults: Faults
    /// Whether the definitions are a recipe's parameters, which are scalars.
    var parameters = false

    /// The definitions in a mapping of names, in the order of the file.
    /// - Parameter owner: what they belong to, for messages.
    func definitions(_ entries: [YAMLEntry], of owner: String) -> [OptionDefinition] {
        entries.compactMap { entry in
            guard TextFormat.name.accepts(entry.key), entry.key != "when" else {
                faults.add(
                    "“\(entry.key)” is no name for an option", at: entry.keyLocation,
                    remedy: "use \(TextFormat.name.summary); “when” is kept for conditions")
                return nil
            }
            return definition(entry, of: owner)
        }
    }

    private func definition(_ entry: YAMLEntry, of owner: String) -> OptionDefinition? {
        guard
            let fields = Fields(
                entry.value, parameters ? "parameter “\(entry.key)”" : "option “\(entry.key)” of \(owner)", faults)
        else { return nil }
        let summary = fields.string("summary") ?? ""
        let required = fields.bool("required") ?? false
        let given = fields.node("default")
        let type = type(fields)
        let same = parameters ? [:] : same(fields, type)
        fields.finish()
        // What follows from a faulty definition is not reported: the parameter is known, but not its value.
        if type == nil { faults.silence(entry.keyLocation) }
        var option = OptionDefinition(
            name: entry.key, type: type ?? .any, summary: summary, required: required, defaultValue: nil, same: same,
            location: entry.keyLocation)
        guard let given else { return option }
        if required { faults.add("\(fields.what) is required, so a default has no use", at: given.location) }
        let checker = OptionChecker(faults: faults)
        option.defaultValue = checker.value(given, as: option.type, named: "the default of \(fields.what)", pointer: "")
            .map(option.meaning)
        if option.defaultValue == nil { faults.silence(entry.keyLocation) }
        return option
    }

    /// `same: {b: a}` of an enum: b is taken as a.
    private func same(_ fields: Fields, _ type: OptionType?) -> [String: String] {
        let entries = fields.mapping("same")
        // A faulty type has been reported.
        guard let type, let first = entries.first else { return [:] }
        guard case .enumeration(let values) = type else {
            faults.add("“same” of \(fields.what) is for an enum, not for \(type.word)", at: first.keyLocation)
            return [:]
        }
        var same: [String: String] = [:]
        for entry in entries {
            let what = "“\(entry.key)” in “same” of \(fields.what)"
            guard values.contains(entry.key) else {
                let hint = Suggestion.hint(for: entry.key, in: values)
                faults.add("\(what) is none of its values\(hint)", at: entry.keyLocation)
                continue
            }
            guard let target = fields.word(entry.value, what, of: values) else { continue }
            if target == entry.key || entries.contains(where: { $0.key == target }) {
                faults.add(
                    "\(what) is taken as “\(target)”, which is taken as another itself", at: entry.value.location,
                    remedy: "name the value that all of them are taken as")
            }
            same[entry.key] = target
        }
        return same
    }

    /// The type that the fields of a definition describe.
    private func type(_ fields: Fields) -> OptionType? {
        let words = parameters ? OptionType.parameterWords : OptionType.words
        guard let word = fields.word("type", of: words, required: true) else {
            // The keys of all types count as known then, so that one fault is not two.
            for key in ["format", "minimum", "maximum", "values", "of", "fields"] { _ = fields.node(key) }
            return nil
        }
        switch word {
        case "string":
            return .string(
                fields.word("format", of: TextFormat.allCases.map(\.rawValue)).flatMap(TextFormat.init(rawValue:)))
        case "integer":
            let everything = Int64.min...Int64.max
            return .integer(minimum: fields.int("minimum", everything), maximum: fields.int("maximum", everything))
        case "boolean": return .boolean
        case "enum":
            guard fields.required("values") != nil else { return nil }
            let values = fields.strings("values")
            if Set(values).count != values.count { faults.add("\(fields.what) has a value twice", at: fields.location) }
            return .enumeration(values)
        case "path": return .path
        case "list": return itemType(fields).map { .list(of: $0) }
        case "map": return itemType(fields).map { .map(of: $0) }
        case "object":
            guard fields.required("fields") != nil else { return nil }
            return .object(definitions(fields.mapping("fields"), of: fields.what))
        default: return .any
        }
    }

    /// `of: string`, or `of: {type: object, fields: …}`.
    private func itemType(_ fields: Fields) -> OptionType? {
        guard let node = fields.required("of") else { return nil }
        let what = "“of” of \(fields.what)"
        guard case .string = node.content else {
            guard let nested = Fields(node, what, faults) else { return nil }
            _ = nested.string("summary")
            defer { nested.finish() }
            return type(nested)
        }
        guard let word = fields.word(node, what, of: OptionType.words) else { return nil }
        switch word {
        case "string": return .string(nil)
        case "integer": return .integer(minimum: nil, maximum: nil)
        case "boolean": return .boolean
        case "path": return .path
        case "any": return .any
        default:
            faults.add(
                "\(what) needs more than a word for the type “\(word)”", at: node.location,
                remedy: "write a mapping: of: {type: \(word), …}")
            return nil
        }
    }
}
