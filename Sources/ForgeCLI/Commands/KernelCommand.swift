import ForgeBase
import ForgeEngine
import ForgeRecipe
import ForgeSystem
import Glibc

/// `forge kernel`: a kernel's configuration, held against what is asked for or changed by hand, without a build.
struct KernelCommand {
    let session: Session

    static let actions = ["verify", "menuconfig"]
    /// The stage that configures kernels.
    private static let stage = "kernel-config"
    /// Its input of the recipe's fragments.
    private static let fragments = "fragments"

    func run() throws -> ExitCode {
        let action = session.arguments.operand(0) ?? ""
        for (option, only) in [("fragment", "verify"), ("output", "menuconfig")]
        where session.arguments.has(option) && action != only {
            throw ForgeError(.badInput, "--\(option) is for forge kernel \(only)")
        }
        let files = try fragmentFiles()
        let recipe = try session.recipe(at: 1)
        let stage = try stage(of: recipe)
        return action == "menuconfig" ? try menuconfig(recipe, stage) : try verify(recipe, stage, files)
    }

    /// The files of `--fragment`, absolute.
    private func fragmentFiles() throws -> [String] {
        try session.arguments.list("fragment").map { given in
            guard let path = Files.absolute(given), Files.exists(path), !Files.isDirectory(path) else {
                throw ForgeError(.badInput, "there is no fragment \(given)", remedy: "--fragment names a file")
            }
            return path
        }
    }

    /// The stage that configures the recipe's kernel.
    private func stage(of recipe: Recipe) throws -> StageInstance {
        let there = recipe.stages.filter { $0.definition.name == KernelCommand.stage }
        let list = there.map(\.id).joined(separator: ", ")
        if let wanted = session.arguments.value("stage") {
            if let stage = there.first(where: { $0.id == wanted }) { return stage }
            let hint = Suggestion.hint(for: wanted, in: there.map(\.id))
            throw ForgeError(
                .badInput, "“\(wanted)” is no \(KernelCommand.stage) stage of \(recipe.name)\(hint)",
                remedy: there.isEmpty ? nil : "choose from: \(list)")
        }
        guard let stage = there.first else {
            let values = recipe.values.map { "\($0.name)=\($0.value.string ?? $0.value.description)" }
            throw ForgeError(
                .badInput, "\(recipe.name) configures no kernel",
                details: values.isEmpty ? [] : ["with \(values.joined(separator: ", "))"],
                remedy: "name a recipe with a stage \(KernelCommand.stage), or set what brings one: --set NAME=VALUE")
        }
        guard there.count == 1 else {
            throw ForgeError(
                .badInput, "\(recipe.name) configures \(there.count) kernels: \(list)", remedy: "name one: --stage ID")
        }
        return stage
    }

    // MARK: verify

    private func verify(_ recipe: Recipe, _ stage: StageInstance, _ files: [String]) throws -> ExitCode {
        let sandbox = try StageSandbox(session, recipe, stage: stage.id)
        for file in files { try sandbox.add(file: file, to: KernelCommand.fragments) }
        var log: [UInt8] = []
        let report = try sandbox.enter("/stage/run", output: .pipe, sink: { log += $0 }) { status, outputs in
            guard let bytes = try Files.readIfPresent("\(outputs)/report") else {
                throw KernelCommand.failure(sandbox.action.name, status, log)
            }
            return try JSON(parsing: bytes, file: "report of \(sandbox.action.name)")
        }
        let faults = report["faults"]?.array ?? []
        guard !session.console.json else {
            session.console.result(report.description)
            return faults.isEmpty ? .done : .badInput
        }
        let names = fragmentNames(stage, files)
        for fault in faults { session.console.result(KernelCommand.line(fault, names)) }
        let asked = Format.count(Int(report["requested"]?.int ?? 0), "option")
        let linux = "linux \(report["linux"]?.string ?? "?")"
        session.console.note(
            faults.isEmpty
                ? "\(sandbox.action.name): \(linux), \(asked) asked for, all as asked"
                : "\(sandbox.action.name): \(linux), \(asked) asked for, \(Format.count(faults.count, "fault"))")
        return faults.isEmpty ? .done : .badInput
    }

    /// A fault as the script writes it, with the fragment's path in the project where the script knows only its name.
    private static func line(_ fault: JSON, _ names: [String: String]) -> String {
        let text = fault["text"]?.string ?? fault.description
        guard let fragment = fault["fragment"]?.string, let path = names[fragment], text.hasPrefix(fragment) else {
            return text
        }
        return path + text.dropFirst(fragment.count)
    }

    /// What the script calls a fragment, and its path. Names that stand for several fragments are left out.
    private func fragmentNames(_ stage: StageInstance, _ files: [String]) -> [String: String] {
        var paths: [(String, String)] = []
        for name in stage.options["use"]?.array?.compactMap(\.string) ?? [] {
            let file = "\(stage.definition.folder)/fragments/\(name).config"
            paths.append(("\(name).config", session.catalog.display(file)))
        }
        for bound in stage.inputs.first(where: { $0.name == KernelCommand.fragments })?.sources ?? [] {
            if case .path(let path) = bound.source {
                paths.append((bound.source.label, session.catalog.display(path.absolute)))
            }
        }
        paths += files.map { (Files.name(of: $0), session.catalog.display($0)) }
        return Dictionary(grouping: paths, by: \.0).compactMapValues { $0.count == 1 ? $0[0].1 : nil }
    }

    private static func failure(_ action: String, _ status: ExitReport.Status, _ log: [UInt8]) -> ForgeError {
        let lines = String(decoding: log, as: UTF8.self).split(separator: "\n").suffix(20)
        return ForgeError(.stageFailed, "\(action): the script \(status)", details: lines.map { "│ \($0)" })
    }

    // MARK: menuconfig

    private func menuconfig(_ recipe: Recipe, _ stage: StageInstance) throws -> ExitCode {
        guard Terminal(fd: 0).isInteractive, Terminal(fd: 1).isInteractive else {
            throw ForgeError(
                .badInput, "menuconfig needs a terminal", remedy: "write a fragment, and try it: forge kernel verify")
        }
        let target = try target(recipe)
        let sandbox = try StageSandbox(session, recipe, stage: stage.id)
        session.console.note("configuring \(sandbox.action.name) as the recipe says …")
        let fragment: [UInt8]? = try sandbox.enter("/stage/run menuconfig", output: .descriptor(1)) { status, outputs in
            guard status == .exited(0) else {
                throw ForgeError(.stageFailed, "\(sandbox.action.name): menuconfig \(status)")
            }
            return try Files.readIfPresent("\(outputs)/fragment")
        }
        guard let fragment else {
            session.console.note("nothing was changed, or it was not saved: no fragment is written")
            return .done
        }
        try Files.write(target, fragment)
        session.console.result(session.catalog.display(target))
        let path =
            target.hasPrefix(recipe.directory + "/") ? String(target.dropFirst(recipe.directory.count + 1)) : "…"
        session.console.note(
            "to use it, add it to stage “\(stage.id)” of \(recipe.file), as the last one:\n"
                + "    inputs: {fragments: [{path: \(path)}]}\n"
                + "to hold it against the rest: forge kernel verify \(recipe.name) --fragment "
                + session.catalog.display(target).shellQuoted)
        return .done
    }

    /// Where the fragment goes: `--output`, or the first of menuconfig.config, menuconfig-2.config … in the recipe's folder
    /// that is not there yet. Nothing is ever overwritten.
    private func target(_ recipe: Recipe) throws -> String {
        if let given = session.arguments.value("output") {
            let path = session.absolute(given)
            guard !Files.exists(path) else {
                throw ForgeError(
                    .badInput, "\(given) is there already", remedy: "name another file, or remove it first")
            }
            guard Files.isDirectory(Files.parent(of: path)) else {
                throw ForgeError(.badInput, "there is no folder \(Files.parent(of: path)) for --output")
            }
            return path
        }
        var number = 1
        while true {
            let path = "\(recipe.directory)/menuconfig\(number > 1 ? "-\(number)" : "").config"
            if !Files.exists(path) { return path }
            number += 1
        }
    }
}
