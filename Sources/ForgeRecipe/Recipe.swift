package import ForgeBase
import ForgeSystem

/// What to build: a recipe with everything checked, parameters put in and conditions decided.
package struct Recipe: Sendable {
    package var name: String
    package var summary: String
    /// Debian's word for the processor: `amd64`, `arm64`.
    package var architecture: String
    /// The recipe's file as messages show it.
    package var file: String
    /// The recipe's folder on this machine, absolute.
    package var directory: String
    package var parameters: [OptionDefinition]
    /// The value of each parameter, in the order of `parameters`.
    package var values: [(name: String, value: JSON)]
    /// The stages that the parameters choose, each after those whose outputs it takes.
    package var stages: [StageInstance]
    /// In the order of the file.
    package var artifacts: [Artifact]
    package var tests: [BootTest]
    package var warnings: [RecipeWarning]

    package func stage(_ id: String) -> StageInstance? { stages.first { $0.id == id } }
}

/// One use of a stage in a recipe.
package struct StageInstance: Sendable {
    /// The name that the recipe gives it.
    package var id: String
    package var definition: StageDefinition
    /// A canonical object with every default filled in; an option without value and default is absent. Paths are
    /// relative to the recipe's folder.
    package var options: JSON
    /// The files and directories that the options name, in the order of the recipe.
    package var paths: [PathOption]
    /// In the order of the stage's definition; an optional input that is not given is absent.
    package var inputs: [InputBinding]
    /// Fixed variables of the script: the stage's, and over them those of the recipe; in byte order of the names.
    package var environment: [Variable]
    /// The most seconds that one run may take; nil for no limit.
    package var timeout: Int64?
    /// What the stage's rules of compatibility are held against; in no key.
    package var versions: [NamedVersion]
    package var location: SourceLocation
}

/// A variable of a script's environment.
package struct Variable: Sendable, Hashable {
    package var name: String
    package var value: String

    package init(name: String, value: String) {
        self.name = name
        self.value = value
    }
}

/// Where an input of a stage comes from.
package struct InputBinding: Sendable, Equatable {
    package var name: String
    /// One, or for an input of many any number, in the recipe's order.
    package var sources: [BoundSource]

    /// The outputs of other stages among the sources.
    package var outputs: [OutputReference] {
        sources.compactMap { if case .output(let reference) = $0.source { reference } else { nil } }
    }
}

/// An output of a stage of the recipe: `<id>.<output>`.
package struct OutputReference: Sendable, Hashable, CustomStringConvertible {
    package var stage: String
    package var output: String

    package init(stage: String, output: String) {
        self.stage = stage
        self.output = output
    }

    package var description: String { "\(stage).\(output)" }
}

/// An output that is published.
package struct Artifact: Sendable, Equatable {
    /// Below `out/<recipe>/`; a tree is a folder there.
    package var path: String
    package var source: OutputReference
    package var kind: ArtifactKind
    package var location: SourceLocation

    /// Whether a path can stand in URLs and checksum files without quotes.
    package static func isPlain(_ path: String) -> Bool {
        path.utf8.allSatisfy { byte in
            (0x30...0x39).contains(byte) || (0x41...0x5a).contains(byte) || (0x61...0x7a).contains(byte)
                || "._+-=@~/".utf8.contains(byte)
        }
    }
}

extension Recipe {
    /// The version of the recipe format, in the key `forge`.
    package static let format: Int64 = 1

    /// Reads, expands and checks a recipe or build root.
    /// - Parameters:
    ///   - path: `…/<name>/recipe.yaml` or `…/build-roots/<name>.yaml`, absolute.
    ///   - catalog: the project's stages; those of `stages` beside the recipe are added.
    ///   - set: values of parameters, as `--set` gives them.
    /// - Throws: `ForgeErrors` with every fault, each with its place.
    package static func load(
        _ path: String, catalog: StageCatalog, set: [(name: String, value: String)] = []
    ) throws -> Recipe {
        let directory = Files.parent(of: path)
        let file = Files.name(of: path)
        let name = file == "recipe.yaml" ? Files.name(of: directory) : String(file.dropLast(".yaml".count))
        return try parse(
            try Files.read(path), name: name, file: catalog.display(path), directory: directory,
            catalog: catalog.including(directory + "/stages"), set: set)
    }

    /// Reads, expands and checks the text of a recipe.
    /// - Parameters:
    ///   - name: the name that the recipe must have.
    ///   - file: the name that places carry.
    ///   - directory: where its paths start, absolute.
    /// - Throws: `ForgeErrors` with every fault, each with its place.
    package static func parse(
        _ bytes: [UInt8], name: String, file: String, directory: String, catalog: StageCatalog,
        set: [(name: String, value: String)] = []
    ) throws -> Recipe {
        let faults = Faults()
        let node = try YAML.parse(bytes, file: file)
        let reader = RecipeReader(
            faults: faults, catalog: catalog, resolver: RecipePaths(faults: faults, directory: directory), file: file)
        var recipe = reader.recipe(node, name: name, set: set)
        try faults.check()
        recipe?.warnings = faults.warnings
        guard let recipe else { throw ForgeErrors([ForgeError(.bug, "no recipe and no fault in \(file)")]) }
        return recipe
    }
}
