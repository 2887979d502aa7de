import ForgeBase
import ForgeEngine
import ForgePlanner
import ForgeRecipe
import ForgeStore
import ForgeSystem
import Glibc

/// One run of `forge`: what the command line says, and the parts of the project that it reaches.
final class Session {
    let arguments: Arguments
    let console: Console
    let time: any TimeSource
    let layout: ProjectLayout
    let catalog: StageCatalog

    init(_ arguments: Arguments, console: Console, time: any TimeSource = SystemTime()) throws {
        self.arguments = arguments
        self.console = console
        self.time = time
        guard let directory = Files.absolute(".") else { throw ForgeError.system("cannot find the working directory") }
        layout = try ProjectLayout.find(from: directory, executable: Host.executablePath)
        catalog = layout.catalog()
    }

    var seconds: Double { Double(time.monotonic()) / 1e9 }

    // MARK: Places

    /// The cache directory: `--cache`, FORGE_CACHE, or `cache` of the project.
    func cacheDirectory() throws -> String {
        let path = arguments.value("cache") ?? Host.environment("FORGE_CACHE") ?? layout.root + "/cache"
        try Files.makeDirectories(path)
        guard let absolute = Files.absolute(path) else { throw ForgeError.system("cannot find the cache \(path)") }
        return absolute
    }

    private var opened: Store?

    func store() throws -> Store {
        if let opened { return opened }
        // A build sweeps with a helper, which may remove more.
        let store = try Store(directory: try cacheDirectory(), sweeping: false)
        opened = store
        return store
    }

    /// The program that runs actions, beside this one.
    func helper() throws -> String {
        let path = Files.parent(of: Host.executablePath ?? "") + "/forge-helper"
        guard Files.exists(path) else {
            throw ForgeError(
                .unsupportedHost, "there is no \(path)",
                details: ["forge runs every action as a child of that program"],
                remedy: "build the whole package: `swift build -c release`, or start forge with ci/forge")
        }
        return path
    }

    /// Where the artifacts of a recipe go.
    func outputDirectory(_ recipe: Recipe) -> String {
        "\(absolute(arguments.value("output") ?? layout.root + "/out"))/\(recipe.name)/\(Session.cell)"
    }

    /// A path of the command line, for programs that do not run in the working directory.
    func absolute(_ path: String) -> String { path.hasPrefix("/") ? path : layout.workingDirectory + "/" + path }

    /// The cell of a recipe without a matrix.
    static let cell = "default"

    // MARK: Recipes

    /// Warnings that were printed: a recipe may be read more than once.
    private var warned: Set<String> = []
    /// Whether this run has written a lock.
    var hasWrittenLock = false

    /// The recipe of the command line; without one, the only one there is.
    /// - Parameter position: of the word that names it.
    func recipe(at position: Int = 0) throws -> Recipe {
        let name: String
        if let given = arguments.operand(position) {
            name = given
        } else {
            let names = try layout.recipeNames()
            guard names.count == 1 else {
                throw ForgeError(
                    .badInput, "which recipe?", details: names.map { "there is \($0)" },
                    remedy: "name one: \(arguments.command.usage)")
            }
            name = names[0]
        }
        let recipe = try Recipe.load(
            try layout.recipeFile(name), catalog: catalog,
            set: try arguments.pairs("set").map { (name: $0.0, value: $0.1) })
        for warning in recipe.warnings.map(\.description) where warned.insert(warning).inserted {
            console.warning(warning)
        }
        return recipe
    }

    func epochOverride() throws -> Int64? {
        guard let text = Host.environment("SOURCE_DATE_EPOCH") else { return nil }
        guard let epoch = Int64(text), epoch >= 0 else {
            throw ForgeError(.badInput, "SOURCE_DATE_EPOCH must be seconds since 1970, not “\(text)”")
        }
        return epoch
    }

    /// Mirrors or snapshot services that flags and the environment name: archive → base URLs. A flag comes before the
    /// environment.
    func places(option: String, variable: String) throws -> [(String, [String])] {
        var places: [(String, [String])] = []
        func add(_ archive: String, _ urls: [String]) {
            if let i = places.firstIndex(where: { $0.0 == archive }) {
                places[i].1 += urls
            } else {
                places.append((archive, urls))
            }
        }
        for (archive, url) in try arguments.pairs(option) {
            add(archive, url.split(separator: ",").map(String.init))
        }
        let prefix = "\(variable)_"
        for (name, value) in Session.environment() where name.hasPrefix(prefix) && !value.isEmpty {
            let archive = name.dropFirst(prefix.count).lowercased().map { $0 == "_" ? "-" : $0 }
            add(String(archive), value.split(separator: ",").map(String.init))
        }
        return places.map { ($0.0, $0.1.map { $0.hasSuffix("/") ? String($0.dropLast()) : $0 }) }
    }

    /// Every variable of the environment, in byte order of the names.
    private static func environment() -> [(String, String)] {
        var list: [(String, String)] = []
        var next = environ
        while let entry = next.pointee {
            let text = String(cString: entry)
            if let equals = text.firstIndex(of: "=") {
                list.append((String(text[..<equals]), String(text[text.index(after: equals)...])))
            }
            next += 1
        }
        return list.sorted { $0.0.precedes($1.0) }
    }

    func surroundings() throws -> HelperRunner.Surroundings {
        HelperRunner.Surroundings(
            mirrors: try places(option: "mirror", variable: "FORGE_MIRROR"),
            snapshots: try places(option: "snapshot", variable: "FORGE_SNAPSHOT"), offline: arguments.has("offline"),
            clockOffset: Host.environment("FORGE_TEST_CLOCK"),
            toolCacheLimit: arguments.has("no-tool-cache") ? nil : CacheLimits(session: self).toolLimit())
    }

    // MARK: Plans

    /// The plan of a recipe, after making or checking its lock.
    func plan(_ recipe: Recipe) throws -> PlannedRecipe {
        let lock = try LockService(session: self).current(recipe)
        let store = try store()
        var planner = Planner(catalog: catalog, store: store, memo: store, epoch: try epochOverride(), locked: lock)
        return try store.reading { try planner.plan(recipe) }
    }
}
