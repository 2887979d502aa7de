import ForgeBase
import ForgeSystem

/// Paths that a recipe names: below its directory, also with links followed, because what is elsewhere may differ on the
/// next machine.
final class RecipePaths {
    private let faults: Faults
    /// The recipe's directory, absolute.
    let directory: String
    /// The same with links followed, asked for once: recipes name thousands of files.
    private lazy var root = Files.absolute(directory)

    init(faults: Faults, directory: String) {
        self.faults = faults
        self.directory = directory
    }

    /// What a path leads to; nil with a fault.
    /// - Parameter name: what has the path, for messages.
    func resolve(_ written: String, _ node: YAMLNode, _ name: String) -> ProjectPath? {
        var text = written
        if text.hasPrefix("./") { text.removeFirst(2) }
        while text.utf8.count > 1, text.hasSuffix("/") { text.removeLast() }
        guard let root else {
            faults.add("\(name): the recipe's folder is gone", at: node.location)
            return nil
        }
        guard TextFormat.relativePath.accepts(text) else {
            faults.add(
                "\(name) must be a path relative to the recipe's folder, without “.” and “..”, not \(node.kindName)",
                at: node.location)
            return nil
        }
        guard let absolute = Files.absolute(root + "/" + text) else {
            let beside = (try? Files.list(Files.parent(of: root + "/" + text)))?.map(\.description) ?? []
            let hint = Suggestion.hint(for: Files.name(of: text), in: beside)
            faults.add("\(name): the recipe's folder has no “\(text)”\(hint)", at: node.location)
            return nil
        }
        guard absolute.utf8.starts(with: (root + "/").utf8) else {
            faults.add(
                "\(name): “\(text)” is a link out of the recipe's folder", at: node.location,
                details: ["it leads to \(absolute)"], remedy: "copy the file into the recipe's folder")
            return nil
        }
        return ProjectPath(relative: text, absolute: absolute, isDirectory: Files.isDirectory(absolute))
    }
}
