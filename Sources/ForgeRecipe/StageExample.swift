package import ForgeBase
import ForgeSystem

/// A line of a stage's `tests.yaml`: options, and whether they are good.
package struct StageExample: Sendable {
    package var name: String
    /// A part of the error that the options must give; nil for good options.
    package var error: String?
    package var location: SourceLocation
    private var options: [YAMLEntry]

    /// The examples of a stage; none if it has no `tests.yaml`.
    /// - Parameter file: the name that places carry.
    /// - Throws: `ForgeErrors` with every fault of the file.
    package static func load(_ definition: StageDefinition, file: String? = nil) throws -> [StageExample] {
        let path = definition.folder + "/tests.yaml"
        guard let bytes = try Files.readIfPresent(path) else { return [] }
        let faults = Faults()
        let node = try YAML.parse(bytes, file: file ?? path)
        guard case .sequence(let items) = node.content else {
            throw ForgeErrors([ForgeError(.badInput, "the tests of a stage must be a list", at: node.location)])
        }
        let examples = items.compactMap { item -> StageExample? in
            guard let fields = Fields(item, "the test", faults) else { return nil }
            let name = fields.string("name", required: true) ?? ""
            let error = fields.string("error")
            let options = fields.mapping("options")
            fields.finish()
            return StageExample(name: name, error: error, location: item.location, options: options)
        }
        try faults.check()
        return examples
    }

    /// What is wrong with the example, in one line; nil if the stage judges its options as the example says.
    package func verdict(_ definition: StageDefinition) -> String? {
        let faults = Faults()
        let checker = OptionChecker(
            faults: faults, resolver: RecipePaths(faults: faults, directory: definition.folder))
        _ = checker.options(options, definition.options, of: "stage “\(definition.name)”", at: location)
        let messages = faults.errors.map(\.message)
        switch (error, messages.isEmpty) {
        case (nil, true): return nil
        case (nil, false): return "\(location): “\(name)” should be good, but: \(messages.joined(separator: "; "))"
        case (let part?, true): return "\(location): “\(name)” should be refused with “\(part)”, but is taken"
        case (let part?, false):
            if messages.contains(where: { $0.contains(part) }) { return nil }
            return "\(location): “\(name)” should be refused with “\(part)”, but: \(messages.joined(separator: "; "))"
        }
    }
}
