import ForgeBase
import ForgeRecipe
import ForgeStore
import ForgeSystem

/// `forge init`
struct InitCommand {
    let session: Session

    func run() throws -> ExitCode {
        let name = session.arguments.operand(0) ?? ""
        guard !name.isEmpty,
            name.utf8.allSatisfy({
                $0 < 0x80
                    && (Character(Unicode.Scalar($0)).isLowercase || Character(Unicode.Scalar($0)).isNumber
                        || $0 == UInt8(ascii: "-"))
            })
        else {
            throw ForgeError(
                .badInput, "“\(name)” can't be a recipe's name", remedy: "use small letters, digits and “-”")
        }
        let directory = "\(session.layout.recipesDirectory)/\(name)"
        guard !Files.exists(directory) else {
            throw ForgeError(
                .badInput, "\(session.layout.display(directory)) exists already", remedy: "choose another name")
        }
        // A recipe that builds and boots is a better start than an empty one.
        let model = "\(session.layout.recipesDirectory)/debian-node"
        guard Files.isDirectory(model) else {
            throw ForgeError(
                .badInput, "there is no recipe debian-node to start from", remedy: "copy any other recipe's folder")
        }
        try copy(model, to: directory) { text in
            text.split(separator: "\n", omittingEmptySubsequences: false).map {
                $0.hasPrefix("name:") ? "name: \(name)" : String($0)
            }.joined(separator: "\n")
        }
        session.console.result(session.layout.display("\(directory)/recipe.yaml"))
        session.console.note("edit it, then: forge build \(name)")
        return .done
    }

    private func copy(_ source: String, to target: String, editing: (String) -> String) throws {
        try Files.makeDirectories(target)
        for name in try Files.list(source).map(\.description) where name != "forge.lock" {
            let (from, to) = ("\(source)/\(name)", "\(target)/\(name)")
            guard let status = try Files.status(from) else { continue }
            if status.kind == .directory {
                try copy(from, to: to, editing: editing)
            } else if status.kind == .file {
                let bytes = try Files.read(from)
                let edited = name == "recipe.yaml" ? Array(editing(String(decoding: bytes, as: UTF8.self)).utf8) : bytes
                try Files.write(to, edited, mode: status.mode & 0o777)
            }
        }
    }
}

/// `forge schema`
struct SchemaCommand {
    let session: Session

    func run() throws -> ExitCode {
        switch session.arguments.operand(0) ?? "recipe" {
        case "stage": session.console.raw(RecipeSchema.stage().pretty())
        case "reference": session.console.raw(try RecipeReference.markdown(session.catalog))
        default: session.console.raw(try RecipeSchema.recipe(session.catalog).pretty())
        }
        return .done
    }
}
