import ForgeBase

/// Puts the values of parameters into a tree: `${name}` in strings, and conditional values.
///
/// `{when: {parameter: value}, value: x}` stands for `x` if the condition holds, and for nothing otherwise; it may be an
/// item of a list or the value of a key. `{when: …, values: [x, y]}` as an item of a list stands for several items.
/// A string that is `${name}` and nothing else takes the parameter's type; `$${` is a plain `${`.
struct Expander {
    let parameters: [OptionDefinition]
    /// One value for each parameter. A parameter whose value is faulty is missing here, and was reported.
    let values: [String: JSON]
    let faults: Faults

    /// The tree with everything put in; nil if the node is left out by its condition, or has a fault.
    func expand(_ node: YAMLNode) -> YAMLNode? {
        switch node.content {
        case .null, .bool, .int: return node
        case .string(let text): return expand(text, at: node.location)
        case .sequence(let items):
            return YAMLNode(.sequence(items.flatMap(expandItem)), at: node.location)
        case .mapping(let entries):
            if let choice = conditional(node) {
                guard choice.several == false else {
                    faults.add(
                        "“values” can only stand in a list", at: choice.content.location, remedy: "write value: …")
                    return nil
                }
                return choice.holds ? expand(choice.content) : nil
            }
            var expanded: [YAMLEntry] = []
            for entry in entries {
                guard let value = expand(entry.value) else { continue }
                expanded.append(YAMLEntry(key: entry.key, keyLocation: entry.keyLocation, value: value))
            }
            return YAMLNode(.mapping(expanded), at: node.location)
        }
    }

    /// The entries of a mapping, keys expanded too.
    func expandKeys(_ entries: [YAMLEntry]) -> [YAMLEntry] {
        entries.compactMap { entry in
            guard let value = expand(entry.value) else { return nil }
            let key: String =
                switch expand(entry.key, at: entry.keyLocation).content {
                case .string(let text): text
                case .int(let number): String(number)
                case .bool(let flag): String(flag)
                default: entry.key
                }
            return YAMLEntry(key: key, keyLocation: entry.keyLocation, value: value)
        }
    }

    private func expandItem(_ item: YAMLNode) -> [YAMLNode] {
        guard let choice = conditional(item) else { return expand(item).map { [$0] } ?? [] }
        guard choice.holds else { return [] }
        guard choice.several else { return expand(choice.content).map { [$0] } ?? [] }
        guard case .sequence(let items) = choice.content.content else {
            faults.add("“values” must be a list, not \(choice.content.kindName)", at: choice.content.location)
            return []
        }
        return items.flatMap(expandItem)
    }

    private struct Choice {
        var holds: Bool
        var content: YAMLNode
        var several: Bool
    }

    /// What a mapping with a `when` says; nil for every other node.
    private func conditional(_ node: YAMLNode) -> Choice? {
        guard case .mapping(let entries) = node.content, let condition = entries.first(where: { $0.key == "when" })
        else {
            return nil
        }
        let holds = holds(condition.value)
        let others = entries.filter { $0.key != "when" }
        guard others.count == 1, let other = others.first, ["value", "values"].contains(other.key) else {
            faults.add(
                "a value with “when” must have “value” (or “values” in a list) and nothing else beside it",
                at: condition.keyLocation, remedy: "write {when: {parameter: value}, value: …}")
            return Choice(holds: false, content: node, several: false)
        }
        return Choice(holds: holds, content: other.value, several: other.key == "values")
    }

    /// Whether every parameter of a condition has the value, or one of the values, that is given.
    func holds(_ condition: YAMLNode) -> Bool {
        guard case .mapping(let entries) = condition.content, !entries.isEmpty else {
            faults.add(
                "“when” must be a mapping of parameters and values, not \(condition.kindName)", at: condition.location,
                remedy: "write when: {parameter: value} or when: {parameter: [value, value]}")
            return false
        }
        var holds = true
        for entry in entries {
            guard let parameter = parameter(entry.key, at: entry.keyLocation) else {
                holds = false
                continue
            }
            let nodes = if case .sequence(let items) = entry.value.content { items } else { [entry.value] }
            let checker = OptionChecker(faults: faults)
            let accepted = nodes.compactMap {
                checker.value($0, as: parameter.type, named: "parameter “\(parameter.name)”", pointer: "")
            }
            if values[parameter.name].map(accepted.contains) != true { holds = false }
        }
        return holds
    }

    private func parameter(_ name: String, at location: SourceLocation) -> OptionDefinition? {
        if let parameter = parameters.first(where: { $0.name == name }) { return parameter }
        let names = parameters.map(\.name)
        faults.add(
            "unknown parameter “\(name)”\(Suggestion.hint(for: name, in: names))", at: location,
            remedy: names.isEmpty ? "the recipe has no parameters" : "parameters: \(names.joined(separator: ", "))")
        return nil
    }

    /// A string with the values of the parameters in it. After a fault the string stays as it is, and is not spoken of
    /// again.
    func expand(_ text: String, at location: SourceLocation) -> YAMLNode {
        guard text.utf8.contains(UInt8(ascii: "$")) else { return YAMLNode(.string(text), at: location) }
        guard let content = content(Array(text.utf8), at: location) else {
            faults.silence(location)
            return YAMLNode(.string(text), at: location)
        }
        return YAMLNode(content, at: location)
    }

    /// Nil after a fault.
    private func content(_ bytes: [UInt8], at location: SourceLocation) -> YAMLNode.Content? {
        var out: [UInt8] = []
        var at = 0
        while at < bytes.count {
            if bytes[at...].starts(with: "$${".utf8) {
                out += "${".utf8
                at += 3
                continue
            }
            guard bytes[at...].starts(with: "${".utf8) else {
                out.append(bytes[at])
                at += 1
                continue
            }
            guard let end = bytes[at...].firstIndex(of: UInt8(ascii: "}")) else {
                faults.add("“${” without “}”", at: location, remedy: "write $${ for a plain ${")
                return nil
            }
            let name = String(decoding: bytes[(at + 2)..<end], as: UTF8.self)
            guard let value = value(of: name, at: location) else { return nil }
            if at == 0, end == bytes.count - 1 { return value }
            if case .string(let text) = value { out += text.utf8 }
            if case .int(let number) = value { out += String(number).utf8 }
            if case .bool(let flag) = value { out += String(flag).utf8 }
            at = end + 1
        }
        return .string(String(decoding: out, as: UTF8.self))
    }

    /// Nil for an unknown parameter, which is a fault, and for one whose own fault is reported already.
    private func value(of name: String, at location: SourceLocation) -> YAMLNode.Content? {
        guard parameters.contains(where: { $0.name == name }) else {
            let hint = Suggestion.hint(for: name, in: parameters.map(\.name))
            faults.add(
                "unknown parameter “\(name)”\(hint)", at: location,
                remedy: "declare it below “parameters”, or write $${\(name)} for a plain ${\(name)}")
            return nil
        }
        return switch values[name] {
        case .string(let text): .string(text)
        case .int(let number): .int(number)
        case .bool(let flag): .bool(flag)
        default: nil
        }
    }
}

extension Expander {
    /// Warns of parameters that nothing in a recipe asks for, whichever way its conditions go.
    func warnUnused(in recipe: YAMLNode) {
        guard !parameters.isEmpty else { return }
        var used: Set<String> = []
        Expander.names(in: recipe, to: &used)
        for parameter in parameters where !used.contains(parameter.name) {
            faults.warn("parameter “\(parameter.name)” is used nowhere", at: parameter.location)
        }
    }

    /// The names in `${…}` and in the conditions of a tree.
    private static func names(in node: YAMLNode, to names: inout Set<String>) {
        switch node.content {
        case .null, .bool, .int: return
        case .string(let text): self.names(in: text, to: &names)
        case .sequence(let items): for item in items { self.names(in: item, to: &names) }
        case .mapping(let entries):
            for entry in entries {
                self.names(in: entry.key, to: &names)
                self.names(in: entry.value, to: &names)
                if entry.key == "when", case .mapping(let condition) = entry.value.content {
                    names.formUnion(condition.map(\.key))
                }
            }
        }
    }

    private static func names(in text: String, to names: inout Set<String>) {
        var rest = Array(text.utf8)[...]
        while let start = rest.firstIndex(of: UInt8(ascii: "{")),
            let end = rest[start...].firstIndex(of: UInt8(ascii: "}"))
        {
            if rest[..<start].last == UInt8(ascii: "$") {
                names.insert(String(decoding: rest[(start + 1)..<end], as: UTF8.self))
            }
            rest = rest[(start + 1)...]
        }
    }
}

/// Reads the parameters of a recipe and their values.
struct ParameterReader {
    let faults: Faults

    /// The parameters that a recipe declares: strings, integers, booleans and enums.
    func parameters(_ entries: [YAMLEntry]) -> [OptionDefinition] {
        OptionDefinitionReader(faults: faults, parameters: true).definitions(entries, of: "the recipe")
    }

    /// The value of each parameter: as given (`--set name=value`), or its default.
    func values(_ parameters: [OptionDefinition], given: [(name: String, value: String)]) -> [String: JSON] {
        var values: [String: JSON] = [:]
        let names = parameters.map(\.name)
        for (name, text) in given {
            guard let parameter = parameters.first(where: { $0.name == name }) else {
                faults.add(
                    ForgeError(
                        .badInput,
                        "--set \(name)=\(text): the recipe has no parameter “\(name)”"
                            + Suggestion.hint(for: name, in: names),
                        remedy: names.isEmpty
                            ? "it has no parameters at all" : "parameters: \(names.joined(separator: ", "))"))
                continue
            }
            let content: YAMLNode.Content =
                switch parameter.type {
                case .integer, .boolean: YAML.plain(text)
                default: .string(text)
                }
            let node = YAMLNode(content, at: parameter.location)
            let checker = OptionChecker(faults: faults)
            values[name] = checker.value(
                node, as: parameter.type, named: "--set \(name)=\(text): parameter “\(name)”", pointer: "")
        }
        for parameter in parameters where !given.contains(where: { $0.name == parameter.name }) {
            if let value = parameter.defaultValue {
                values[parameter.name] = value
            } else {
                faults.add(
                    "parameter “\(parameter.name)” has no default and is not set", at: parameter.location,
                    remedy: "give it a default, or build with --set \(parameter.name)=…")
            }
        }
        return values
    }
}
