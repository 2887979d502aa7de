import ForgeBase
import ForgeEngine
import ForgeRecipe
import ForgeStore
import ForgeSystem

/// Inputs that come from the recipe's files and from the network.
extension Planner {
    /// The inputs of a stage as the recipe binds them; what has to be fetched becomes an action of its own in the plan.
    /// - Parameters:
    ///   - name: of the stage's action.
    ///   - made: actions of the recipe so far, by the stage's id; gets those that fetch, as `<id>:<input>`.
    func inputs(
        of stage: StageInstance, name: String, made: inout [String: Int], plan: inout Plan
    ) throws -> [PlannedInput] {
        var inputs: [PlannedInput] = []
        for binding in stage.inputs {
            let many = stage.definition.input(binding.name)?.many ?? false
            let digits = max(2, String(max(0, binding.sources.count - 1)).utf8.count)
            for (i, bound) in binding.sources.enumerated() {
                // The label orders and names the inputs of a list: 00-base, 01-kernel …
                let number = String(i)
                let zeros = String(repeating: "0", count: digits - number.utf8.count)
                let label = many ? "\(zeros)\(number)-\(bound.source.label)" : ""
                let place = "\(binding.name)\(many ? "/" + label : "")"
                let source: PlannedInput.Source
                switch bound.source {
                case .output(let reference):
                    guard let index = made[reference.stage] else {
                        throw ForgeError(.bug, "\(name) is planned before \(reference.stage)", at: stage.location)
                    }
                    source = .output(ForgeEngine.OutputReference(action: index, output: reference.output))
                case .path(let path):
                    source =
                        path.isDirectory
                        ? .object(try sources.directory(path.absolute), .tree)
                        : .object(try sources.file(path.absolute), .file)
                case .glob(let glob): source = .object(try tree(glob, at: bound.location), .tree)
                case .url(let url):
                    let index = plan.add(try fetch(url, name: "\(name):\(place)", at: bound.location))
                    made["\(stage.id):\(place)"] = index
                    source = .output(ForgeEngine.OutputReference(action: index, output: "file"))
                case .git(let git):
                    let index = plan.add(try fetch(git, name: "\(name):\(place)", at: bound.location))
                    made["\(stage.id):\(place)"] = index
                    source = .output(ForgeEngine.OutputReference(action: index, output: "tree"))
                }
                inputs.append(PlannedInput(name: binding.name, label: label, source: source))
            }
        }
        return inputs
    }

    private func tree(_ source: GlobSource, at location: SourceLocation) throws -> Digest {
        let found = try sources.files(
            below: source.directory, fitting: try source.patterns.map { pattern throws in try Glob(pattern) },
            except: try source.except.map { pattern throws in try Glob(pattern) })
        if found.files == 0, !source.optional {
            throw ForgeError(
                .badInput, "no file of the recipe fits “\(source.patterns.joined(separator: "”, “"))”", at: location,
                details: source.except.isEmpty ? [] : ["without “\(source.except.joined(separator: "”, “"))”"],
                remedy: "correct the pattern, or write optional: true beside it")
        }
        return found.tree
    }

    private func fetch(_ source: URLSource, name: String, at location: SourceLocation) throws -> PlannedAction {
        try fetch(
            "fetch-url", source.options, keyed: source.keyedOptions, PlannedOutput(name: "file", kind: .file), name,
            location)
    }

    private func fetch(_ source: GitSource, name: String, at location: SourceLocation) throws -> PlannedAction {
        try fetch(
            "fetch-git", source.options, keyed: source.keyedOptions, PlannedOutput(name: "tree", kind: .tree), name,
            location)
    }

    /// What a fetch gives is decided by the digest alone: neither epoch nor architecture are in its key, so that it is the
    /// same action for every recipe, cell and lock.
    private func fetch(
        _ stage: String, _ options: JSON, keyed: JSON, _ output: PlannedOutput, _ name: String,
        _ location: SourceLocation
    ) throws -> PlannedAction {
        PlannedAction(
            name: name, stage: stage, program: .builtin(stage), stageDigest: try Tree.empty.save(in: store),
            options: options, keyedOptions: keyed, outputs: [output], epoch: 0, architecture: "all",
            resources: Resources(cpu: 0, memory: 64 << 20, network: 1), network: true, location: location)
    }
}
