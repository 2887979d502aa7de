package import ForgeBase
import ForgeSystem

/// The stages that a project offers: folders with a `stage.yaml`, read when first asked for.
///
/// Not shared between threads.
package final class StageCatalog {
    /// Where stages are, absolute: the project's `stages`, then a recipe's own.
    package let directories: [String]
    /// Turns an absolute path into the one that messages show.
    private let shown: (String) -> String
    private var loaded: [String: StageDefinition] = [:]
    private var roots: [String: Recipe] = [:]

    /// - Parameters:
    ///   - directories: absolute paths; those that do not exist hold no stages.
    ///   - shown: turns an absolute path into the one that messages show.
    package init(directories: [String], shown: @escaping (String) -> String = { $0 }) {
        self.directories = directories
        self.shown = shown
    }

    /// This catalog together with the stages beside a recipe.
    package func including(_ directory: String) -> StageCatalog {
        guard !directories.contains(directory), Files.isDirectory(directory) else { return self }
        let catalog = StageCatalog(directories: directories + [directory], shown: shown)
        catalog.loaded = loaded
        return catalog
    }

    /// How messages show a path.
    package func display(_ path: String) -> String { shown(path) }

    /// The names of all stages, in byte order.
    package func names() throws(ForgeError) -> [String] {
        var names: Set<String> = []
        for directory in directories where Files.isDirectory(directory) {
            for name in try Files.list(directory) where Files.exists("\(directory)/\(name)/stage.yaml") {
                names.insert(name.description)
            }
        }
        return names.sorted { $0.precedes($1) }
    }

    /// A stage by name; nil if there is none.
    /// - Throws: `ForgeErrors` with every fault of its `stage.yaml`, or if two directories have the stage.
    package func stage(_ name: String) throws -> StageDefinition? {
        if let definition = loaded[name] { return definition }
        guard TextFormat.name.accepts(name) else { return nil }
        let folders = directories.map { "\($0)/\(name)" }.filter { Files.exists($0 + "/stage.yaml") }
        guard let folder = folders.first else { return nil }
        guard folders.count == 1 else {
            throw ForgeError(
                .badInput, "two stages are called “\(name)”", details: folders.map(shown),
                remedy: "rename the recipe's own one")
        }
        let file = folder + "/stage.yaml"
        let definition = try StageDefinition.parse(try Files.read(file), folder: folder, file: shown(file))
        loaded[name] = definition
        return definition
    }

    /// Every stage, in byte order of the names.
    /// - Throws: `ForgeErrors` with the faults of all of them.
    package func all() throws -> [StageDefinition] {
        let faults = Faults()
        var definitions: [StageDefinition] = []
        for name in try names() {
            do { if let definition = try stage(name) { definitions.append(definition) } } catch {
                faults.add(thrown: error)
            }
        }
        try faults.check()
        return definitions
    }

    /// The build roots that a recipe's stages run in, each before those that are made with its help.
    /// - Throws: the faults of their files, or an error that names a circle.
    package func buildRoots(for recipe: Recipe) throws -> [(name: String, recipe: Recipe)] {
        var done: [(name: String, recipe: Recipe)] = []
        try including(recipe.directory + "/stages").addBuildRoots(for: recipe, chain: [], to: &done)
        return done
    }

    private func addBuildRoots(
        for recipe: Recipe, chain: [String], to done: inout [(name: String, recipe: Recipe)]
    ) throws {
        for stage in recipe.stages {
            guard let name = stage.definition.buildRoot, !done.contains(where: { $0.name == name }) else { continue }
            guard !chain.contains(name) else {
                throw ForgeError(
                    .badInput, "build root “\(name)” is needed to make itself", at: stage.location,
                    details: [(chain + [name]).joined(separator: " needs ")],
                    remedy: "make it of built-in stages only")
            }
            let root = try buildRoot(name, usedBy: stage)
            try addBuildRoots(for: root, chain: chain + [name], to: &done)
            done.append((name, root))
        }
    }

    /// The file of a build root, of the project or beside a recipe; nil if there is none.
    package func buildRootFile(_ name: String, for recipe: Recipe) -> String? {
        (directories + [recipe.directory + "/stages"]).map { "\($0)/build-roots/\(name).yaml" }.first(
            where: Files.exists)
    }

    private func buildRoot(_ name: String, usedBy stage: StageInstance) throws -> Recipe {
        let files = directories.map { "\($0)/build-roots/\(name).yaml" }
        guard let file = files.first(where: { Files.exists($0) }) else {
            let known = try buildRootNames()
            throw ForgeError(
                .badInput, "there is no build root “\(name)”\(Suggestion.hint(for: name, in: known))",
                at: stage.definition.location, remedy: "write \(shown(files.first ?? name))")
        }
        if let known = roots[file] { return known }
        let recipe = try Recipe.load(file, catalog: self)
        guard let tree = recipe.artifacts.first(where: { $0.path == "tree" }), tree.kind == .tree else {
            throw ForgeError(
                .badInput, "build root “\(name)” must have an artifact “tree” that is a tree",
                at: SourceLocation(file: shown(file), line: 1, column: 1))
        }
        roots[file] = recipe
        return recipe
    }

    /// The names of all build roots, in byte order.
    package func buildRootNames() throws(ForgeError) -> [String] {
        var names: Set<String> = []
        for directory in directories.map({ $0 + "/build-roots" }) where Files.isDirectory(directory) {
            for name in try Files.list(directory) where name.description.hasSuffix(".yaml") {
                names.insert(String(name.description.dropLast(".yaml".count)))
            }
        }
        return names.sorted { $0.precedes($1) }
    }
}
