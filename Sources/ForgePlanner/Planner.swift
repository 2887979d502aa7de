package import ForgeBase
package import ForgeEngine
package import ForgeRecipe
package import ForgeStore
import ForgeSystem

/// The part of a lock that one stage keeps to.
package struct LockedPart: Sendable {
    /// What the stage is given, as an object of the store: canonical JSON.
    package var digest: Digest
    /// The newest date that vouched for it, in seconds since 1970.
    package var date: Int64

    package init(digest: Digest, date: Int64) {
        self.digest = digest
        self.date = date
    }
}

/// A recipe as a plan, with the way back from actions to stages.
package struct PlannedRecipe: Sendable {
    package var plan: Plan
    /// The action of each stage of the recipe, by the stage's id; of a build root's stages, by the action's name.
    package var actions: [String: Int]
    /// Actions that make build roots: nothing of what they provide is in the image.
    package var tools: Set<Int>
    /// Seconds since 1970.
    package var epoch: Int64
}

/// Recipe, lock and stages in, actions out. Runs nothing; reads the files that the recipe names.
package struct Planner {
    private let catalog: StageCatalog
    let store: any ObjectStore
    let sources: SourceTree
    private let epochOverride: Int64?
    private let locked: (_ id: String, _ stage: StageInstance) throws -> LockedPart?
    private var folders: [String: Digest] = [:]

    /// - Parameters:
    ///   - epoch: SOURCE_DATE_EPOCH, if it is set.
    ///   - locked: the lock's part for a stage that needs one, by the stage's name in the lock; nil: not locked.
    package init(
        catalog: StageCatalog, store: any ObjectStore, memo: any FileMemo, epoch: Int64?,
        locked: @escaping (_ id: String, _ stage: StageInstance) throws -> LockedPart?
    ) {
        self.catalog = catalog
        self.store = store
        sources = SourceTree(store: store, memo: memo, shown: catalog.display)
        epochOverride = epoch
        self.locked = locked
    }

    /// The name of a stage in locks and of its action: build roots' stages are told apart by the build root's name.
    package static func name(of stage: StageInstance, buildRoot: String?) -> String {
        buildRoot.map { "build-root:\($0)/\(stage.id)" } ?? stage.id
    }

    /// Options without the places to fetch from, which say nothing of what is fetched once a lock pins it.
    package static func withoutPlaces(_ options: JSON) -> JSON {
        switch options {
        case .object(let fields):
            .object(fields.filter { $0.0 != "uri" && $0.0 != "snapshot" }.map { ($0.0, withoutPlaces($0.1)) })
        case .array(let items): .array(items.map(withoutPlaces))
        default: options
        }
    }

    /// Every stage that needs a lock, of the recipe and of the build roots it uses, by name in the lock.
    package static func lockedStages(of recipe: Recipe, catalog: StageCatalog) throws -> [(
        id: String, stage: StageInstance
    )] {
        var found: [(String, StageInstance)] = []
        for root in try catalog.buildRoots(for: recipe) {
            found += root.recipe.stages.filter { $0.definition.lock != nil }.map {
                (name(of: $0, buildRoot: root.name), $0)
            }
        }
        return found + recipe.stages.filter { $0.definition.lock != nil }.map { ($0.id, $0) }
    }

    /// The plan of a recipe.
    package mutating func plan(_ recipe: Recipe) throws -> PlannedRecipe {
        var plan = Plan()
        var actions: [String: Int] = [:]
        var roots: [String: ForgeEngine.OutputReference] = [:]
        var epoch: Int64 = 0
        for (name, root) in try catalog.buildRoots(for: recipe) {
            let made = try add(
                root, prefix: "build-root:\(name)/", buildRoot: name, roots: roots, lockName: recipe.name, to: &plan,
                epoch: &epoch)
            guard let tree = root.artifacts.first(where: { $0.path == "tree" }), let index = made[tree.source.stage]
            else {
                throw ForgeError(.bug, "build root \(name) has no tree")
            }
            roots[name] = ForgeEngine.OutputReference(action: index, output: tree.source.output)
            for (id, index) in made { actions["build-root:\(name)/\(id)"] = index }
        }
        let tools = Set(plan.actions.indices)
        let made = try add(
            recipe, prefix: "\(recipe.name)/", buildRoot: nil, roots: roots, lockName: recipe.name, to: &plan,
            epoch: &epoch)
        actions.merge(made) { $1 }
        plan.artifacts = try recipe.artifacts.map { artifact in
            guard let index = made[artifact.source.stage] else {
                throw ForgeError(.bug, "artifact \(artifact.path) has no stage")
            }
            let output = plan.actions[index].outputs.first { $0.name == artifact.source.output }
            return PlannedArtifact(
                path: artifact.path,
                source: ForgeEngine.OutputReference(action: index, output: artifact.source.output),
                mediaType: output?.mediaType)
        }
        return PlannedRecipe(plan: plan, actions: actions, tools: tools, epoch: epoch)
    }

    private mutating func add(
        _ recipe: Recipe, prefix: String, buildRoot: String?, roots: [String: ForgeEngine.OutputReference],
        lockName: String, to plan: inout Plan, epoch: inout Int64
    ) throws -> [String: Int] {
        var parts: [String: LockedPart] = [:]
        for stage in recipe.stages where stage.definition.lock != nil {
            let name = Planner.name(of: stage, buildRoot: buildRoot)
            guard let part = try locked(name, stage) else {
                throw ForgeError(
                    .badInput, "stage “\(name)” is not in the lock", at: stage.location,
                    remedy: "run `forge lock \(lockName)`")
            }
            parts[stage.id] = part
        }
        // The epoch comes from the lock, not from a commit: the same in every clone, and no commit rebuilds the world.
        // Files and images that are pinned by digest alone have no date, and no say.
        if let newest = parts.values.map(\.date).filter({ $0 > 0 }).max() { epoch = newest }
        if let epochOverride { epoch = epochOverride }

        var made: [String: Int] = [:]
        for stage in recipe.stages {
            let bound = try inputs(of: stage, name: prefix + stage.id, made: &made, plan: &plan)
            let action = try action(
                for: stage, name: prefix + stage.id, recipe: recipe, bound: bound, roots: roots,
                locked: parts[stage.id], epoch: epoch)
            made[stage.id] = plan.add(action)
        }
        return made
    }

    private mutating func action(
        for stage: StageInstance, name: String, recipe: Recipe, bound: [PlannedInput],
        roots: [String: ForgeEngine.OutputReference], locked: LockedPart?, epoch: Int64
    ) throws -> PlannedAction {
        let definition = stage.definition
        let inputs = try stage.paths.map(source) + bound
        return PlannedAction(
            name: name, stage: definition.name, program: StageProgram(definition.run.text) ?? .script,
            stageDigest: try folder(of: definition), options: stage.options,
            keyedOptions: definition.lock == nil ? nil : Planner.withoutPlaces(stage.options), inputs: inputs,
            buildRoot: definition.buildRoot.flatMap { roots[$0] },
            locked: locked?.digest, environment: stage.environment.map { ($0.name, $0.value) },
            outputs: definition.outputs.map {
                PlannedOutput(name: $0.name, kind: $0.kind == .tree ? .tree : .file, mediaType: $0.mediaType)
            },
            epoch: epoch, architecture: recipe.architecture,
            resources: Resources(
                cpu: Int(definition.resources.cpu), memory: definition.resources.memory,
                disk: Int(definition.resources.disk), network: Int(definition.resources.network)),
            network: definition.network, timeout: stage.timeout, toolCache: definition.toolCache,
            location: stage.location)
    }

    /// A file or directory that an option names becomes an input called like the option; its label is where in the
    /// options it is named.
    private func source(_ path: PathOption) throws -> PlannedInput {
        let label = path.pointer == "/" + path.option ? "" : path.pointer
        if Files.isDirectory(path.absolute) {
            return PlannedInput(
                name: path.option, label: label, source: .object(try sources.directory(path.absolute), .tree))
        }
        return PlannedInput(name: path.option, label: label, source: .object(try sources.file(path.absolute), .file))
    }

    /// The tree of a stage's folder, without what does not change its output: of `stage.yaml` only what does.
    private mutating func folder(of stage: StageDefinition) throws -> Digest {
        if let known = folders[stage.folder] { return known }
        let digest = try sources.directory(
            stage.folder, ignoring: ["tests.yaml", "README.md"],
            replacing: ["stage.yaml": stage.essence.pretty()])
        folders[stage.folder] = digest
        return digest
    }
}
