import ForgeBase
import ForgeSystem

/// Turns the tree of a recipe's file into a `Recipe`.
struct RecipeReader {
    static let architectures = ["amd64", "arm64"]
    /// Files that forge writes beside the artifacts.
    static let reservedArtifacts = ["SHA256SUMS"]

    let faults: Faults
    let catalog: StageCatalog
    let resolver: RecipePaths
    let file: String

    /// A stage of the recipe before its inputs are looked up.
    struct Draft {
        var instance: StageInstance
        var inputs: [YAMLEntry]
    }

    func recipe(_ node: YAMLNode, name: String, set: [(name: String, value: String)]) -> Recipe? {
        guard let fields = Fields(node, "the recipe", faults) else { return nil }
        let header = header(fields, name: name)
        let parameterReader = ParameterReader(faults: faults)
        let parameters = parameterReader.parameters(fields.mapping("parameters"))
        let values = parameterReader.values(parameters, given: set)
        let expander = Expander(parameters: parameters, values: values, faults: faults)

        let stageEntries = fields.required("stages") == nil ? [] : fields.mapping("stages")
        var drafts: [Draft] = []
        var leftOut: [String] = []
        for entry in stageEntries {
            switch draft(entry, expander) {
            case .draft(let draft): drafts.append(draft)
            case .leftOut: leftOut.append(entry.key)
            case .faulty: break
            }
        }
        let graph = StageGraph(
            faults: faults, resolver: resolver, drafts: drafts, leftOut: leftOut, all: stageEntries.map(\.key))
        let stages = graph.bound()
        let artifactEntries =
            fields.required("artifacts") == nil ? [] : expander.expandKeys(fields.mapping("artifacts"))
        let artifacts = artifacts(artifactEntries, graph, at: fields.location)
        if artifacts.isEmpty, faults.errors.isEmpty {
            faults.add(
                "the recipe publishes nothing", at: fields.node("artifacts")?.location ?? fields.location,
                remedy: "name what it makes: artifacts: {node.iso: iso.image}")
        }
        let tests = BootTestReader(
            faults: faults, expander: expander, artifacts: artifacts, graph: graph, directory: resolver.directory,
            file: file,
            faulty: artifacts.count < artifactEntries.count
        ).tests(fields.list("tests"))
        fields.finish()
        graph.warnUnused(stages, artifacts, tests)
        expander.warnUnused(in: node)
        return Recipe(
            name: name, summary: header.summary, architecture: header.architecture, file: file,
            directory: resolver.directory,
            parameters: parameters,
            values: parameters.compactMap { parameter in values[parameter.name].map { (parameter.name, $0) } },
            stages: stages, artifacts: artifacts, tests: tests, warnings: [])
    }

    private func header(_ fields: Fields, name: String) -> (summary: String, architecture: String) {
        if let node = fields.required("forge") {
            if node.content != .int(Recipe.format) {
                faults.add(
                    "“forge” must be \(Recipe.format), not \(node.kindName)", at: node.location,
                    remedy: "it is the version of the recipe format; this forge reads version \(Recipe.format)")
            }
        }
        if let given = fields.string("name", required: true), given != name {
            faults.add(
                "the recipe is called “\(given)”, but its place says “\(name)”",
                at: fields.node("name")?.location ?? fields.location,
                remedy: "write name: \(name), or rename the folder")
        }
        let summary = fields.string("summary") ?? ""
        let architecture = fields.word("architecture", of: RecipeReader.architectures, required: true)
        return (summary, architecture ?? "")
    }

    private enum Outcome {
        case draft(Draft)
        case leftOut
        case faulty
    }

    private func draft(_ entry: YAMLEntry, _ expander: Expander) -> Outcome {
        let what = "stage “\(entry.key)”"
        guard checkID(entry), let fields = Fields(entry.value, what, faults) else { return .faulty }
        let chosen = fields.node("when").map(expander.holds) ?? true
        let kind = fields.string("stage", required: true)
        let optionsNode = fields.node("options")
        let inputEntries = fields.mapping("inputs")
        let environment = EnvironmentReader(faults: faults).variables(fields.mapping("environment"), of: what, expander)
        let timeout = fields.duration("timeout")
        let versions = fields.node("versions").flatMap(expander.expand)
        fields.finish()
        guard let kind, let kindNode = fields.node("stage"), let definition = definition(kind, at: kindNode) else {
            return .faulty
        }
        guard chosen else { return .leftOut }
        if definition.run != .script, let first = environment.first {
            faults.add(
                "\(what) has a variable “\(first.name)”, but built-in stages see no environment",
                at: fields.node("environment")?.location ?? entry.keyLocation)
        }
        func expanded(_ entries: [YAMLEntry]) -> [YAMLEntry] {
            entries.compactMap { item in
                expander.expand(item.value).map { YAMLEntry(key: item.key, keyLocation: item.keyLocation, value: $0) }
            }
        }
        let checker = OptionChecker(faults: faults, resolver: resolver)
        let options = options(optionsNode, what, definition, expander, checker, at: entry.keyLocation)
        let instance = StageInstance(
            id: entry.key, definition: definition, options: options, paths: checker.paths, inputs: [],
            environment: EnvironmentReader.merge(definition.environment, environment),
            timeout: timeout ?? definition.timeout,
            versions: CompatibilityReader(faults: faults).versions(
                items(of: versions, "“versions” of \(what)"), of: what, rules: definition.compatibility),
            location: entry.keyLocation)
        return .draft(Draft(instance: instance, inputs: expanded(inputEntries)))
    }

    private func items(of node: YAMLNode?, _ name: String) -> [YAMLNode] {
        guard let node else { return [] }
        if case .sequence(let items) = node.content { return items }
        faults.add("\(name) must be a list, not \(node.kindName)", at: node.location)
        return []
    }

    private func options(
        _ node: YAMLNode?, _ what: String, _ definition: StageDefinition, _ expander: Expander,
        _ checker: OptionChecker, at location: SourceLocation
    ) -> JSON {
        var entries: [YAMLEntry] = []
        switch node?.content {
        case nil, .null: break
        case .mapping(let written):
            // Option by option, so that an option called like the words of a condition stays one.
            entries = written.compactMap { entry in
                expander.expand(entry.value).map {
                    YAMLEntry(key: entry.key, keyLocation: entry.keyLocation, value: $0)
                }
            }
        default:
            faults.add(
                "“options” of \(what) must be a mapping, not \(node?.kindName ?? "")", at: node?.location ?? location)
        }
        return checker.options(entries, definition.options, of: what, at: location)
    }

    /// Ids become file names of labels and parts of `<id>.<output>`.
    private func checkID(_ entry: YAMLEntry) -> Bool {
        if TextFormat.name.accepts(entry.key), !entry.key.utf8.contains(UInt8(ascii: ".")) { return true }
        faults.add(
            "“\(entry.key)” is no name for a stage of a recipe", at: entry.keyLocation,
            remedy: "use letters, digits, “_” and “-”, and start with a letter or digit")
        return false
    }

    private func definition(_ name: String, at node: YAMLNode) -> StageDefinition? {
        do {
            if let definition = try catalog.stage(name) { return definition }
            let hint = Suggestion.hint(for: name, in: try catalog.names())
            faults.add(
                "there is no stage “\(name)”\(hint)", at: node.location,
                remedy: "`forge schema reference` describes every stage")
        } catch {
            let known = Set(faults.errors.map(\.description))
            let errors = (error as? ForgeErrors)?.errors ?? [error as? ForgeError ?? ForgeError(.bug, "\(error)")]
            for error in errors where !known.contains(error.description) { faults.add(error) }
        }
        return nil
    }

    private func artifacts(_ entries: [YAMLEntry], _ graph: StageGraph, at location: SourceLocation) -> [Artifact] {
        var artifacts: [Artifact] = []
        var places = ArtifactPaths()
        for entry in entries {
            checkPath(entry, others: &places)
            let name = "artifact “\(entry.key)”"
            guard let found = graph.reference(entry.value, for: name) else { continue }
            artifacts.append(
                Artifact(path: entry.key, source: found.reference, kind: found.kind, location: entry.keyLocation))
        }
        return artifacts
    }

    /// Paths of artifacts go into URLs and checksum files and must not leave the output directory.
    private func checkPath(_ entry: YAMLEntry, others: inout ArtifactPaths) {
        let path = entry.key
        if !TextFormat.relativePath.accepts(path) || !Artifact.isPlain(path) || path.hasPrefix("-") {
            faults.add(
                "“\(path)” can't be the path of an artifact", at: entry.keyLocation,
                remedy: "use a relative path of letters, digits and . _ + - = @ ~ without “.” and “..” as parts")
        } else if RecipeReader.reservedArtifacts.contains(path) {
            faults.add("artifact “\(path)”: forge writes this file itself", at: entry.keyLocation)
        }
        switch others.add(path, line: entry.keyLocation.line) {
        case .none: break
        case .same(let line):
            faults.add("artifact “\(path)” is already given in line \(line)", at: entry.keyLocation)
        case .nested(let other, let line):
            faults.add(
                "artifact “\(path)” and artifact “\(other)” of line \(line) can't both be: one is a folder of the other",
                at: entry.keyLocation)
        }
    }
}

/// The paths of artifacts so far, so that one that can't be beside them is found without looking at each.
struct ArtifactPaths {
    enum Clash {
        case none
        case same(line: Int)
        case nested(other: String, line: Int)
    }

    private var lines: [String: Int] = [:]
    /// The first path below each folder.
    private var folders: [String: String] = [:]

    /// Takes a path; what it clashes with.
    mutating func add(_ path: String, line: Int) -> Clash {
        if let other = lines[path] { return .same(line: other) }
        defer { lines[path] = line }
        if let below = folders[path] { return .nested(other: below, line: lines[below] ?? 0) }
        var clash = Clash.none
        for slash in path.indices where path[slash] == "/" {
            let folder = String(path[..<slash])
            if let other = lines[folder] { clash = .nested(other: folder, line: other) }
            if folders[folder] == nil { folders[folder] = path }
        }
        return clash
    }
}
