import ForgeBase
import ForgeRecipe
import ForgeSystem

/// Finds the lines of recipes, build roots and stages that an option comes from. Reads them only when asked: a build has
/// no use for it.
final class RecipePlaces {
    private let recipe: Recipe
    private let layout: ProjectLayout
    /// Where stages and build roots are.
    private let directories: [String]
    /// The recipe as it was; nil: as it is.
    private let text: [UInt8]?
    private var documents: [String: YAMLNode?] = [:]

    init(recipe: Recipe, layout: ProjectLayout, catalog: StageCatalog, text: [UInt8]? = nil) {
        self.recipe = recipe
        self.layout = layout
        directories = catalog.directories + [recipe.directory + "/stages"]
        self.text = text
    }

    /// Where an option gets its value: in the recipe, or else the default in `stage.yaml`.
    /// - Parameter item: of a list: the line of this one.
    func option(_ name: String, of action: String, stage: String, item: String? = nil) -> Cause.Place? {
        let (file, id) = origin(of: action)
        // What fetches an input is asked for where the input is.
        if let colon = id.firstIndex(of: ":"), let stage = action.lastIndex(of: ":") {
            return input(String(id[id.index(after: colon)...]), of: String(action[..<stage]))?.place
        }
        if let entry = node(file)?["stages"]?[id]?["options"]?.entry(name) {
            let place = item.flatMap { entry.value.find($0) } ?? entry.keyLocation
            return Cause.Place(file: layout.display(file), line: place.line)
        }
        guard let folder = folder(of: stage),
            let entry = node(folder + "/stage.yaml")?["options"]?.entry(name)
        else { return nil }
        return Cause.Place(file: layout.display(folder + "/stage.yaml"), line: entry.keyLocation.line)
    }

    /// Where an input of a stage is given, and what is before the names of its files: the path of a file or folder of the
    /// recipe, as messages show it.
    /// - Parameter name: with its label, if the input is a list: `layers/00-base`.
    func input(_ name: String, of action: String) -> (place: Cause.Place, base: String)? {
        let (file, id) = origin(of: action)
        let parts = name.split(separator: "/", maxSplits: 1)
        guard let first = parts.first, let entry = node(file)?["stages"]?[id]?["inputs"]?.entry(String(first)) else {
            return nil
        }
        var value = entry.value
        var line = entry.keyLocation.line
        if case .sequence(let items) = value.content, parts.count > 1,
            let number = Int(parts[1].prefix { $0.isNumber }), number < items.count
        {
            value = items[number]
            line = value.location.line
        }
        let path = value["path"]?.json.string ?? ""
        return (Cause.Place(file: layout.display(file), line: line), path.isEmpty ? shown("") : shown(path))
    }

    /// Where a variable of a stage's environment is set.
    func variable(_ name: String, of action: String) -> Cause.Place? {
        let (file, id) = origin(of: action)
        guard let entry = node(file)?["stages"]?[id]?["environment"]?.entry(name) else { return nil }
        return Cause.Place(file: layout.display(file), line: entry.keyLocation.line)
    }

    /// Where an input of a stage is wired, or the stage begins.
    func stage(_ action: String) -> Cause.Place? {
        let (file, id) = origin(of: action)
        guard let entry = node(file)?["stages"]?.entry(id) else { return nil }
        return Cause.Place(file: layout.display(file), line: entry.keyLocation.line)
    }

    /// The folder of a stage as messages show it.
    func shownFolder(of stage: String) -> String? { folder(of: stage).map { layout.display($0) } }

    /// A path of the recipe's folder as messages show it.
    func shown(_ relative: String) -> String {
        layout.display(relative.isEmpty ? recipe.directory : recipe.directory + "/" + relative)
    }

    var lock: Cause.Place { Cause.Place(file: layout.display(recipe.directory + "/forge.lock")) }

    private func folder(of stage: String) -> String? {
        directories.map { "\($0)/\(stage)" }.first { Files.exists($0 + "/stage.yaml") }
    }

    /// The file that asks for an action, and the action's id there.
    private func origin(of action: String) -> (file: String, id: String) {
        let parts = action.split(separator: "/", maxSplits: 1).map(String.init)
        guard parts.count == 2 else { return (recipe.directory + "/recipe.yaml", action) }
        let prefix = "build-root:"
        if parts[0].hasPrefix(prefix) {
            let name = "/build-roots/\(parts[0].dropFirst(prefix.count)).yaml"
            let file = directories.map { $0 + name }.first { Files.exists($0) }
            return (file ?? layout.stagesDirectory + name, parts[1])
        }
        return (recipe.directory + "/recipe.yaml", parts[1])
    }

    private func node(_ file: String) -> YAMLNode? {
        if let known = documents[file] { return known }
        let isRecipe = file == recipe.directory + "/recipe.yaml"
        let bytes = isRecipe ? text ?? (try? Files.read(file)) : try? Files.read(file)
        // What is no YAML has been reported by whoever loads the recipe.
        let node = bytes.flatMap { try? YAML.parse($0, file: file) }
        documents[file] = .some(node)
        return node
    }
}

extension YAMLNode {
    fileprivate func entry(_ key: String) -> YAMLEntry? {
        guard case .mapping(let entries) = content else { return nil }
        return entries.first { $0.key == key }
    }

    fileprivate subscript(key: String) -> YAMLNode? { entry(key)?.value }

    /// Where a text or value is written, in this node or deeper.
    fileprivate func find(_ item: String) -> SourceLocation? {
        switch content {
        case .string(let text) where text == item: return location
        case .sequence(let nodes):
            for node in nodes { if let found = node.find(item) { return found } }
        case .mapping(let entries):
            if json.canonical.description == item { return location }
            for entry in entries { if let found = entry.value.find(item) { return found } }
        default: return json.description == item ? location : nil
        }
        return nil
    }
}
