import ForgeBase

/// Looks up the inputs of a recipe's stages and puts the stages in order.
struct StageGraph {
    private let faults: Faults
    private let reader: InputReader
    private let drafts: [RecipeReader.Draft]
    private let byID: [String: StageInstance]
    /// Ids that the parameters leave out.
    private let leftOut: Set<String>
    /// Every id of the recipe, also those of stages whose faults are reported.
    private let all: Set<String>

    init(faults: Faults, resolver: RecipePaths, drafts: [RecipeReader.Draft], leftOut: [String], all: [String]) {
        self.faults = faults
        reader = InputReader(faults: faults, resolver: resolver)
        self.drafts = drafts
        self.leftOut = Set(leftOut)
        self.all = Set(all)
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
        var sources: [BoundSource] = []
        var seen: Set<InputSource> = []
        for node in nodes {
            guard let found = source(node, for: name) else { continue }
            if found.kind != input.kind {
                faults.add(
                    "\(name) takes a \(input.kind.rawValue), but \(found.text) is a \(found.kind.rawValue)",
                    at: node.location, remedy: remedy(for: input.kind))
                continue
            }
            if !seen.insert(found.source).inserted { faults.add("\(name) has \(found.text) twice", at: node.location) }
            sources.append(BoundSource(source: found.source, location: node.location))
        }
        return InputBinding(name: input.name, sources: sources)
    }

    /// Where an input comes from, what it is, and what messages call it.
    private func source(_ node: YAMLNode, for name: String) -> (source: InputSource, kind: ArtifactKind, text: String)?
    {
        guard case .mapping(let entries) = node.content else {
            guard let found = reference(node, for: name) else { return nil }
            return (.output(found.reference), found.kind, found.reference.description)
        }
        guard let source = reader.source(entries, at: node.location, for: name), let kind = source.kind else {
            return nil
        }
        let text =
            switch source {
            case .path(let path): "“\(path.relative)”"
            case .glob: "what a glob finds"
            case .url: "what a URL gives"
            case .git: "a commit"
            case .output(let reference): reference.description
            }
        return (source, kind, text)
    }

    /// The outputs of the recipe that would fit.
    private func remedy(for kind: ArtifactKind) -> String? {
        let fitting = drafts.flatMap { draft in
            draft.instance.definition.outputs.filter { $0.kind == kind }.map { "\(draft.instance.id).\($0.name)" }
        }
        let listed = 20
        let more = fitting.count > listed ? ", … (\(fitting.count))" : ""
        return fitting.isEmpty
            ? nil : "outputs that are a \(kind.rawValue): \(fitting.prefix(listed).joined(separator: ", "))\(more)"
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

    /// Depth-first, in the order of the file; a circle is a fault that names its chain. With a stack of its own: a chain of
    /// stages may be longer than the thread's stack is deep.
    private func ordered(_ stages: [StageInstance]) -> [StageInstance] {
        let index = Dictionary(stages.indices.map { (stages[$0].id, $0) }, uniquingKeysWith: { first, _ in first })
        let needs = stages.map { stage in stage.inputs.flatMap(\.outputs).compactMap { index[$0.stage] } }
        var state = Array(repeating: Visit.unseen, count: stages.count)
        var result: [StageInstance] = []
        result.reserveCapacity(stages.count)
        for start in stages.indices where state[start] == .unseen {
            var chain: [(stage: Int, next: Int)] = [(start, 0)]
            state[start] = .open
            while let (stage, next) = chain.last {
                guard next < needs[stage].count else {
                    state[stage] = .done
                    result.append(stages[stage])
                    chain.removeLast()
                    continue
                }
                chain[chain.count - 1].next += 1
                let other = needs[stage][next]
                switch state[other] {
                case .done: break
                case .open: reportCircle(stages, chain.map(\.stage), back: other)
                case .unseen:
                    state[other] = .open
                    chain.append((other, 0))
                }
            }
        }
        return result
    }

    private enum Visit { case unseen, open, done }

    private func reportCircle(_ stages: [StageInstance], _ chain: [Int], back: Int) {
        let start = chain.firstIndex(of: back) ?? 0
        let circle = (chain[start...] + [back]).map { stages[$0].id }.joined(separator: " ← ")
        faults.add(
            "the stages need each other in a circle: \(circle)", at: stages[back].location,
            remedy: "remove one of these inputs")
    }

    /// Warns of stages whose outputs reach no artifact and no test.
    func warnUnused(_ stages: [StageInstance], _ artifacts: [Artifact], _ tests: [BootTest]) {
        var used = Set(artifacts.map(\.source.stage) + tests.compactMap { $0.cluster?.root.stage })
        // In this order each stage comes after those it needs, so going backwards reaches all of them.
        for stage in stages.reversed() where used.contains(stage.id) {
            for input in stage.inputs { used.formUnion(input.outputs.map(\.stage)) }
        }
        for stage in stages.filter({ !used.contains($0.id) }).sorted(by: { $0.location < $1.location }) {
            faults.warn("stage “\(stage.id)” reaches no artifact, so it is not built", at: stage.location)
        }
    }
}
