package import ForgeBase
import ForgeSystem

/// Where the parts of a project are: the directory that has `stages` and `recipes`.
package struct ProjectLayout: Sendable, Equatable {
    /// Absolute.
    package var root: String
    /// Where the command was given, absolute; messages show paths relative to it.
    package var workingDirectory: String

    package init(root: String, workingDirectory: String) {
        self.root = root
        self.workingDirectory = workingDirectory
    }

    package var stagesDirectory: String { root + "/stages" }
    package var recipesDirectory: String { root + "/recipes" }

    /// The project that a directory is in, or else the one that the program was built or installed in.
    /// - Parameters:
    ///   - workingDirectory: absolute.
    ///   - executable: the program's own file.
    package static func find(from workingDirectory: String, executable: String?) throws(ForgeError) -> ProjectLayout {
        let starts = [workingDirectory, executable.flatMap(Files.absolute).map(Files.parent)].compactMap { $0 }
        for start in starts {
            var directory = start
            while true {
                if Files.isDirectory(directory + "/stages"), Files.isDirectory(directory + "/recipes") {
                    return ProjectLayout(root: directory == "/" ? "" : directory, workingDirectory: workingDirectory)
                }
                if directory == "/" || directory == "." { break }
                directory = Files.parent(of: directory)
            }
        }
        throw ForgeError(
            .badInput, "\(workingDirectory) is in no forge project: no directory above has both stages and recipes",
            remedy: "go to the project's directory")
    }

    /// The project's stages, with places shown as `display` does.
    package func catalog() -> StageCatalog {
        let layout = self
        return StageCatalog(directories: [stagesDirectory]) { layout.display($0) }
    }

    /// A path as messages show it: relative to the working directory if it is below.
    package func display(_ path: String) -> String {
        let prefix = workingDirectory == "/" ? "/" : workingDirectory + "/"
        return path.hasPrefix(prefix) ? String(path.dropFirst(prefix.count)) : path
    }

    /// The names of all recipes, in byte order.
    package func recipeNames() throws(ForgeError) -> [String] {
        guard Files.isDirectory(recipesDirectory) else { return [] }
        return try Files.list(recipesDirectory).map(\.description).filter {
            Files.exists("\(recipesDirectory)/\($0)/recipe.yaml")
        }
    }

    /// The file of a recipe that is given by its name, its directory or its file. Absolute, links resolved.
    package func recipeFile(_ argument: String) throws(ForgeError) -> String {
        if TextFormat.name.accepts(argument), let file = Files.absolute("\(recipesDirectory)/\(argument)/recipe.yaml") {
            return file
        }
        let path = argument.hasPrefix("/") ? argument : workingDirectory + "/" + argument
        if let file = Files.absolute(Files.isDirectory(path) ? path + "/recipe.yaml" : path), !Files.isDirectory(file),
            file.hasSuffix(".yaml")
        {
            return file
        }
        let names = try recipeNames()
        throw ForgeError(
            .badInput, "there is no recipe “\(argument)”\(Suggestion.hint(for: argument, in: names))",
            remedy: names.isEmpty
                ? "write recipes/\(argument)/recipe.yaml" : "recipes: \(names.joined(separator: ", "))")
    }
}
