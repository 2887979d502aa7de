import ForgeBase

/// Looks up the inputs of a recipe's stages and puts the stages in order.
struct StageGraph {
    private let faults: Faults
    private let drafts: [RecipeReader.Draft]
    private let byID: [String: StageInstance]
    /// Ids that the parameters leave out.
    private let leftOut: [String]
    /// Every id of the recipe, also those of stages whose faults are reported.
    private let all: [String]

    init(faults: Faults, drafts: [RecipeReader.Draft], leftOut: [String], all: [String]) {
        self.faults = faults
        self.drafts = drafts
        self.leftOut = leftOut
        self.all = all
        byID = Dictionary(drafts.map { ($0.instance.id, $0.instance) }, uniquingKeysWith: { first, _ in first })
    }

    /// The stages with their inputs, each after those it depends on; otherwise in the order of the file.
    func bound() -> [StageInstance] {
        let stages = drafts.map { draft -> StageInstance in
            var instance = draft.instance
            instance.inputs = inputs(draft)
            return instance
        }
        return ordered(stages)
    }

    private func inputs(_ draft: RecipeReader.Draft) -> [InputBinding] {
        let definition = draft.instance.definition
        let what = "stage “\(draft.instance.id)”"
        let known = definition.inputs.map(\.name)
        var misspelled: [String] = []
        for entry in draft.inputs where !known.contains(entry.key) {
            let hint = Suggestion.hint(for: entry.key, in: known)
            faults.add(
                "unknown input “\(entry.key)” in \(what)\(hint)", at: entry.keyLocation,
                remedy: known.isEmpty
                    ? "stage \(definition.name) has no inputs" : "inputs: \(known.joined(separator: ", "))")
            if let name = Suggestion.nearest(to: entry.key, in: known) { misspelled.append(name) }
        }
        return definition.inputs.compactMap { input in
            guard let entry = draft.inputs.first(where: { $0.key == input.name }) else {
                if !input.optional, !misspelled.contains(input.name) {
                    faults.add(
                        "\(what) lacks the input “\(input.name)”", at: draft.instance.location,
                        details: input.summary.isEmpty ? [] : ["\(input.name): \(input.summary)"])
                }
                return nil
            }
            return binding(entry, input, "input “\(input.name)” of \(what)")
        }
    }

    private func binding(_ entry: YAMLEntry, _ input: StageDefinition.Input, _ name: String) -> InputBinding? {
        var nodes = [entry.value]
        if case .sequence(let items) = entry.value.content {
            guard input.many else {
                faults.add("\(name) takes one output, not a list", at: entry.value.location)
                return nil
            }
            if items.isEmpty, !input.optional { faults.add("\(name) is an empty list", at: entry.value.location) }
            nodes = items
        }
        var sources: [OutputReference] = []
        for node in nodes {
            guard let found = reference(node, for: name) else { continue }
            if found.kind != input.kind {
                faults.add(
                    "\(name) takes a \(input.kind.rawValue), but \(found.reference) is a \(found.kind.rawValue)",
                    at: node.location, remedy: remedy(for: input.kind))
                continue
            }
            if sources.contains(found.reference) {
                faults.add("\(name) has \(found.reference) twice", at: node.location)
            }
            sources.append(found.reference)
        }
        return InputBinding(name: input.name, sources: sources)
    }

    /// The outputs of the recipe that would fit.
    private func remedy(for kind: ArtifactKind) -> String? {
        let fitting = drafts.flatMap { draft in
            draft.instance.definition.outputs.filter { $0.kind == kind }.map { "\(draft.instance.id).\($0.name)" }
        }
        return fitting.isEmpty ? nil : "outputs that are a \(kind.rawValue): \(fitting.joined(separator: ", "))"
    }

    /// The output that `<id>.<output>` names.
    func reference(_ node: YAMLNode, for name: String) -> (reference: OutputReference, kind: ArtifactKind)? {
        guard case .string(let text) = node.content else {
            faults.add("\(name) must be <stage>.<output>, not \(node.kindName)", at: node.location)
            return nil
        }
        let parts = text.split(separator: ".", maxSplits: 1, omittingEmptySubsequences: false).map(String.init)
        guard parts.count == 2, !parts[0].isEmpty, !parts[1].isEmpty else {
            let outputs = byID[text]?.definition.outputs.map { "\(text).\($0.name)" } ?? []
            faults.add(
                "\(name) must be <stage>.<output>, not “\(text)”", at: node.location,
                remedy: outputs.isEmpty ? nil : "write \(outputs.joined(separator: " or "))")
            return nil
        }
        guard let stage = byID[parts[0]] else {
            reportMissing(parts[0], for: name, at: node.location)
            return nil
        }
        guard let output = stage.definition.output(parts[1]) else {
            let known = stage.definition.outputs.map(\.name)
            let hint = Suggestion.hint(for: parts[1], in: known)
            faults.add(
                "\(name): stage “\(stage.id)” has no output “\(parts[1])”\(hint)", at: node.location,
                remedy: "outputs: \(known.map { "\(stage.id).\($0)" }.joined(separator: ", "))")
            return nil
        }
        return (OutputReference(stage: stage.id, output: output.name), output.kind)
    }

    private func reportMissing(_ id: String, for name: String, at location: SourceLocation) {
        guard all.contains(id) else {
            let hint = Suggestion.hint(for: id, in: all)
            return faults.add("\(name): the recipe has no stage “\(id)”\(hint)", at: location)
        }
        // A stage with faults of its own is reported there.
        guard leftOut.contains(id) else { return }
        faults.add(
            "\(name): stage “\(id)” is left out by its “when”", at: location,
            remedy: "give this reference the same condition: {when: …, value: …}")
    }

    /// Depth-first, in the order of the file; a circle is a fault that names its chain.
    private func ordered(_ stages: [StageInstance]) -> [StageInstance] {
        let bound = Dictionary(stages.map { ($0.id, $0) }, uniquingKeysWith: { first, _ in first })
        var done: Set<String> = []
        var chain: [String] = []
        var result: [StageInstance] = []

        func visit(_ stage: StageInstance) {
            guard !done.contains(stage.id) else { return }
            if let start = chain.firstIndex(of: stage.id) {
                let circle = (chain[start...] + [stage.id]).joined(separator: " ← ")
                faults.add(
                    "the stages need each other in a circle: \(circle)", at: stage.location,
                    remedy: "remove one of these inputs")
                return
            }
            chain.append(stage.id)
            for input in stage.inputs {
                for source in input.sources { if let other = bound[source.stage] { visit(other) } }
            }
            chain.removeLast()
            done.insert(stage.id)
            result.append(stage)
        }
        for stage in stages { visit(stage) }
        return result
    }

    /// Warns of stages whose outputs reach no artifact.
    func warnUnused(_ stages: [StageInstance], _ artifacts: [Artifact]) {
        var used = Set(artifacts.map(\.source.stage))
        // In this order each stage comes after those it needs, so going backwards reaches all of them.
        for stage in stages.reversed() where used.contains(stage.id) {
            for input in stage.inputs { used.formUnion(input.sources.map(\.stage)) }
        }
        for stage in stages.sorted(by: { $0.location < $1.location }) where !used.contains(stage.id) {
            faults.warn("stage “\(stage.id)” reaches no artifact, so it is not built", at: stage.location)
        }
    }
}
