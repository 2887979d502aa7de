package import ForgeBase

/// A file or directory that an option names.
package struct PathOption: Sendable, Equatable {
    /// The stage's option that holds the path, directly or deeper.
    package var option: String
    /// Where in the options the path is, as a JSON Pointer (RFC 6901): `/config`, `/files/0/source`.
    package var pointer: String
    /// As in the options: relative to the recipe's directory.
    package var relative: String
    /// On this machine, links resolved.
    package var absolute: String
    package var location: SourceLocation
}

/// Checks values against types and turns them into JSON with every default filled in.
final class OptionChecker {
    private let faults: Faults
    /// What paths lead to; nil where no path is expected.
    private let resolver: RecipePaths?
    private(set) var paths: [PathOption] = []

    init(faults: Faults, resolver: RecipePaths? = nil) {
        self.faults = faults
        self.resolver = resolver
    }

    /// The options of a stage as a canonical object. An option without value and default is left out.
    func options(
        _ entries: [YAMLEntry], _ definitions: [OptionDefinition], of owner: String, at location: SourceLocation,
        pointer: String = ""
    ) -> JSON {
        var fields: [(String, JSON)] = []
        let misspelled = reportUnknown(entries, definitions, of: owner)
        for definition in definitions {
            let name = "“\(definition.name)” of \(owner)"
            if let entry = entries.first(where: { $0.key == definition.name }) {
                let below = pointer + "/" + definition.name
                if let value = value(entry.value, as: definition.type, named: name, pointer: below) {
                    fields.append((definition.name, definition.meaning(of: value)))
                }
            } else if let value = definition.defaultValue {
                fields.append((definition.name, value))
            } else if definition.required, !misspelled.contains(definition.name) {
                faults.add(
                    "\(owner) lacks the option “\(definition.name)”", at: location,
                    details: definition.summary.isEmpty ? [] : ["\(definition.name): \(definition.summary)"])
            }
        }
        return JSON.object(fields).canonical
    }

    /// The names that were probably meant by unknown ones.
    private func reportUnknown(
        _ entries: [YAMLEntry], _ definitions: [OptionDefinition], of owner: String
    ) -> [String] {
        let known = definitions.map(\.name)
        var meant: [String] = []
        for entry in entries where !known.contains(entry.key) {
            let hint = Suggestion.hint(for: entry.key, in: known)
            faults.add(
                "unknown option “\(entry.key)” in \(owner)\(hint)", at: entry.keyLocation,
                remedy: known.isEmpty
                    ? "it has no options" : "options: \(known.sorted { $0.precedes($1) }.joined(separator: ", "))")
            if let name = Suggestion.nearest(to: entry.key, in: known) { meant.append(name) }
        }
        return meant
    }

    /// The value as JSON, or nil with a fault.
    /// - Parameters:
    ///   - name: for messages, for example `“format” of stage “iso”`.
    ///   - pointer: where in the options, as a JSON Pointer.
    func value(_ node: YAMLNode, as type: OptionType, named name: String, pointer: String) -> JSON? {
        switch (type, node.content) {
        case (.any, _): return node.json.canonical
        case (.string(let format), .string(let text)):
            guard let format, !format.accepts(text) else { return .string(text) }
            return wrong(node, name, "be \(format.summary)")
        case (.boolean, .bool(let value)): return .bool(value)
        case (.integer(let minimum, let maximum), .int(let value)):
            if let minimum, value < minimum { return wrong(node, name, "be at least \(minimum)") }
            if let maximum, value > maximum { return wrong(node, name, "be at most \(maximum)") }
            return .int(value)
        case (.enumeration(let values), .string(let text)):
            if values.contains(text) { return .string(text) }
            let hint = Suggestion.hint(for: text, in: values)
            return wrong(node, name, "be one of \(values.joined(separator: ", "))", hint: hint)
        case (.path, .string(let text)): return path(text, node, name, pointer)
        case (.list(let item), .sequence(let nodes)):
            var values: [JSON] = []
            for (index, node) in nodes.enumerated() {
                let value = value(node, as: item, named: "item \(index + 1) of \(name)", pointer: "\(pointer)/\(index)")
                if let value { values.append(value) }
            }
            return .array(values)
        case (.map(let item), .mapping(let entries)):
            return JSON.object(
                entries.compactMap { entry in
                    let below = pointer + "/" + OptionChecker.escaped(entry.key)
                    return value(entry.value, as: item, named: "“\(entry.key)” of \(name)", pointer: below)
                        .map { (entry.key, $0) }
                }
            ).canonical
        case (.object(let definitions), .mapping(let entries)):
            return options(entries, definitions, of: name, at: node.location, pointer: pointer)
        default: return mismatch(node, type, name)
        }
    }

    private func wrong(_ node: YAMLNode, _ name: String, _ rule: String, hint: String = "") -> JSON? {
        faults.add("\(name) must \(rule), not \(node.kindName)\(hint)", at: node.location)
        return nil
    }

    /// The value is of another kind than the type.
    private func mismatch(_ node: YAMLNode, _ type: OptionType, _ name: String) -> JSON? {
        if case .null = node.content {
            faults.add("\(name) has no value", at: node.location, remedy: "give it one, or leave the key out")
            return nil
        }
        let expected =
            switch type {
            case .string: "a string"
            case .integer: "an integer"
            case .boolean: "true or false"
            case .enumeration(let values): "one of \(values.joined(separator: ", "))"
            case .path: "a path"
            case .list: "a list"
            case .map, .object: "a mapping"
            case .any: "a value"
            }
        var remedy: String?
        switch (type, node.content) {
        case (.string, .int), (.string, .bool), (.enumeration, .int), (.enumeration, .bool), (.path, .int):
            remedy = "quote it: \"\(node.json)\""
        case (.integer, .string(let text)): remedy = Int64(text).map { "write \($0), without quotes" }
        case (.boolean, .string(let text)) where ["on", "yes", "True", "TRUE"].contains(text): remedy = "write true"
        case (.boolean, .string(let text)) where ["off", "no", "False", "FALSE"].contains(text): remedy = "write false"
        case (.list, .string), (.list, .int): remedy = "write a list, also for one item: [\(node.json)]"
        default: break
        }
        faults.add("\(name) must be \(expected), not \(node.kindName)", at: node.location, remedy: remedy)
        return nil
    }

    private func path(_ text: String, _ node: YAMLNode, _ name: String, _ pointer: String) -> JSON? {
        guard let resolver else {
            faults.add("\(name) can't be a path: only a recipe can name files", at: node.location)
            return nil
        }
        guard let path = resolver.resolve(text, node, name) else { return nil }
        let option = pointer.split(separator: "/", maxSplits: 1).first.map(String.init) ?? ""
        paths.append(
            PathOption(
                option: option, pointer: pointer, relative: path.relative, absolute: path.absolute,
                location: node.location))
        return .string(path.relative)
    }

    /// A key in a JSON Pointer.
    private static func escaped(_ key: String) -> String {
        key.split(separator: "~", omittingEmptySubsequences: false).joined(separator: "~0")
            .split(separator: "/", omittingEmptySubsequences: false).joined(separator: "~1")
    }
}
