package import ForgeBase
import ForgeSystem

/// What passes between stages.
package enum ArtifactKind: String, Sendable, CaseIterable {
    case file
    case tree
}

/// A kind of step, as `stages/<name>/stage.yaml` describes it.
package struct StageDefinition: Sendable {
    /// What does the work.
    package enum Run: Sendable, Equatable {
        /// The file `run` in the stage's folder, in a sandbox with the build root.
        case script
        /// A function of the helper program, by name.
        case builtin(String)

        /// As in `stage.yaml` and in requests to the helper: `script` or `builtin:<name>`.
        package var text: String {
            switch self {
            case .script: "script"
            case .builtin(let name): "builtin:\(name)"
            }
        }
    }

    /// What an action of the stage takes while it runs.
    package struct Resources: Sendable, Equatable {
        /// Processor cores.
        package var cpu: Int64 = 1
        /// Bytes.
        package var memory: Int64 = 256 << 20
        /// Transfers to and from the disk at once, as a weight; a host allows four.
        package var disk: Int64 = 0
        /// Connections.
        package var network: Int64 = 0
    }

    package struct Input: Sendable, Equatable {
        package var name: String
        package var kind: ArtifactKind
        /// Whether the input takes a list of outputs.
        package var many: Bool
        package var optional: Bool
        package var summary: String
    }

    package struct Output: Sendable, Equatable {
        package var name: String
        package var kind: ArtifactKind
        /// IANA media type of a file, if it has one.
        package var mediaType: String?
        package var summary: String
    }

    package var name: String
    /// The stage's folder on this machine, absolute.
    package var folder: String
    package var summary: String
    package var description: String
    /// Part of every key: raised when the same options and inputs give another output.
    package var version: Int64
    package var run: Run
    /// The file `stages/build-roots/<name>.yaml` whose tree scripts run in.
    package var buildRoot: String?
    /// Whether the stage may use the network. True only for stages whose bytes a lock pins.
    package var network: Bool
    /// The locker that makes this stage's lock entry from its options.
    package var lock: String?
    package var resources: Resources
    /// Fixed variables of the script, in byte order of the names.
    package var environment: [Variable]
    /// The most seconds that one run may take; nil for no limit.
    package var timeout: Int64?
    /// What the script's tools keep between runs, by name: of one build root, stages with the same name share it. In no
    /// key, as it must not change a byte.
    package var toolCache: String?
    package var options: [OptionDefinition]
    package var inputs: [Input]
    package var outputs: [Output]
    /// What of the parts it brings together does not work together.
    package var compatibility: [CompatibilityRule]
    package var location: SourceLocation

    package func input(_ name: String) -> Input? { inputs.first { $0.name == name } }
    package func output(_ name: String) -> Output? { outputs.first { $0.name == name } }

    /// What of `stage.yaml` can change what an action makes and is in its key by no other way. Texts, resources and time
    /// limits can't; options, inputs and variables enter each key as they are used.
    package var essence: JSON {
        .object([
            ("version", .int(version)), ("run", .string(run.text)),
            (
                "outputs",
                .object(
                    outputs.map { ($0.name, .string($0.kind.rawValue)) })
            ),
        ]).canonical
    }
}

extension StageDefinition {
    /// Reads a stage's description.
    /// - Parameters:
    ///   - folder: the stage's folder, absolute; its name is the stage's name.
    ///   - file: the name that places carry.
    /// - Throws: `ForgeErrors` with every fault.
    package static func parse(_ bytes: [UInt8], folder: String, file: String) throws(ForgeErrors) -> StageDefinition {
        let faults = Faults()
        let definition = StageReader(faults: faults, folder: folder).definition(try YAML.parse(bytes, file: file))
        try faults.check()
        guard let definition else {
            throw ForgeErrors([ForgeError(.bug, "no stage and no fault in \(file)")])
        }
        return definition
    }
}

private struct StageReader {
    let faults: Faults
    let folder: String

    func definition(_ node: YAMLNode) -> StageDefinition? {
        let name = Files.name(of: folder)
        guard let fields = Fields(node, "stage “\(name)”", faults) else { return nil }
        if !TextFormat.name.accepts(name) {
            faults.add("the folder “\(name)” is no name for a stage", at: node.location)
        }
        let summary = fields.string("summary", required: true) ?? ""
        if summary.contains("\n") || summary.isEmpty, fields.node("summary") != nil {
            faults.add(
                "“summary” of \(fields.what) must be one line", at: fields.node("summary")?.location ?? node.location)
        }
        let run = run(fields)
        let outputs = outputs(fields)
        let definition = StageDefinition(
            name: name, folder: folder, summary: summary, description: fields.string("description") ?? "",
            version: fields.int("version", 1...Int64.max) ?? 1, run: run ?? .script, buildRoot: buildRoot(fields, run),
            network: fields.bool("network") ?? false, lock: fields.string("lock"), resources: resources(fields),
            environment: environment(fields, run), timeout: fields.duration("timeout"),
            toolCache: toolCache(fields, run),
            options: OptionDefinitionReader(faults: faults).definitions(fields.mapping("options"), of: fields.what),
            inputs: inputs(fields), outputs: outputs,
            compatibility: CompatibilityReader(faults: faults).rules(fields.list("compatibility"), of: fields.what),
            location: node.location)
        if definition.network, definition.lock == nil {
            faults.add(
                "\(fields.what) uses the network without a lock", at: fields.node("network")?.location ?? node.location,
                remedy: "name the locker that pins what it downloads: lock: debian")
        } else if definition.network, definition.run == .script {
            faults.add(
                "\(fields.what) is a script, and scripts have no network",
                at: fields.node("network")?.location ?? node.location,
                remedy: "let recipes give what it needs as an input: {url: …, sha256: …} or {git: …, commit: …}")
        }
        // A file that an option names is handed to the stage as an input called like the option.
        for option in definition.options where option.type.holdsPath && definition.input(option.name) != nil {
            faults.add("\(fields.what) has a path and an input called “\(option.name)”", at: option.location)
        }
        fields.finish()
        return definition
    }

    private func run(_ fields: Fields) -> StageDefinition.Run? {
        let node = fields.node("run") ?? YAMLNode(.string("script"), at: fields.location)
        guard let text = fields.text(node, "“run” of \(fields.what)") else { return nil }
        if text == "script" {
            let script = folder + "/run"
            let status = (try? Files.status(script)) ?? nil
            if status?.kind != .file || status.map({ $0.mode & 0o111 == 0 }) == true {
                faults.add(
                    "\(fields.what) is run by a script, but \(script) is no executable file", at: node.location,
                    remedy: status == nil ? "write the script" : "chmod +x \(script)")
            }
            return .script
        }
        let name = text.hasPrefix("builtin:") ? String(text.dropFirst("builtin:".count)) : ""
        guard TextFormat.name.accepts(name) else {
            faults.add("“run” of \(fields.what) must be script or builtin:<name>, not “\(text)”", at: node.location)
            return nil
        }
        return .builtin(name)
    }

    private func buildRoot(_ fields: Fields, _ run: StageDefinition.Run?) -> String? {
        let name = fields.string("build-root")
        if let name, !TextFormat.name.accepts(name) {
            faults.add("“build-root” of \(fields.what) must be \(TextFormat.name.summary)", at: fields.location)
        }
        if name == nil, run == .script, fields.node("build-root") == nil {
            faults.add(
                "\(fields.what) is run by a script, so it needs a “build-root”", at: fields.location,
                remedy: "name a file of stages/build-roots: build-root: image")
        }
        return name
    }

    private func toolCache(_ fields: Fields, _ run: StageDefinition.Run?) -> String? {
        guard let node = fields.node("tool-cache"), let name = fields.string("tool-cache") else { return nil }
        if !TextFormat.name.accepts(name) {
            faults.add("“tool-cache” of \(fields.what) must be \(TextFormat.name.summary)", at: node.location)
        }
        if let run, run != .script {
            faults.add("\(fields.what) is built in, and built-in stages have no “tool-cache”", at: node.location)
        }
        return name
    }

    private func environment(_ fields: Fields, _ run: StageDefinition.Run?) -> [Variable] {
        let entries = fields.mapping("environment")
        if let run, run != .script, let first = entries.first {
            faults.add("\(fields.what) is built in, and built-in stages see no environment", at: first.keyLocation)
        }
        return EnvironmentReader(faults: faults).variables(entries, of: fields.what)
            .sorted { $0.name.precedes($1.name) }
    }

    private func resources(_ fields: Fields) -> StageDefinition.Resources {
        var resources = StageDefinition.Resources()
        guard let node = fields.node("resources"), let nested = Fields(node, "“resources” of \(fields.what)", faults)
        else {
            return resources
        }
        if let cpu = nested.int("cpu", 1...1024) { resources.cpu = cpu }
        if let memory = nested.size("memory") { resources.memory = memory }
        if let disk = nested.int("disk", 0...1024) { resources.disk = disk }
        if let network = nested.int("network", 0...1024) { resources.network = network }
        nested.finish()
        return resources
    }

    private func inputs(_ fields: Fields) -> [StageDefinition.Input] {
        fields.mapping("inputs").compactMap { entry in
            let what = "input “\(entry.key)” of \(fields.what)"
            guard checkName(entry), let nested = Fields(entry.value, what, faults) else { return nil }
            defer { nested.finish() }
            let kind = kind(nested)
            return StageDefinition.Input(
                name: entry.key, kind: kind, many: nested.bool("many") ?? false,
                optional: nested.bool("optional") ?? false, summary: nested.string("summary") ?? "")
        }
    }

    private func outputs(_ fields: Fields) -> [StageDefinition.Output] {
        guard let node = fields.required("outputs") else { return [] }
        let outputs = fields.mapping("outputs").compactMap { entry -> StageDefinition.Output? in
            let what = "output “\(entry.key)” of \(fields.what)"
            guard checkName(entry), let nested = Fields(entry.value, what, faults) else { return nil }
            defer { nested.finish() }
            return StageDefinition.Output(
                name: entry.key, kind: kind(nested), mediaType: nested.string("media-type"),
                summary: nested.string("summary") ?? "")
        }
        if outputs.isEmpty { faults.add("\(fields.what) has no outputs", at: node.location) }
        return outputs
    }

    private func kind(_ fields: Fields) -> ArtifactKind {
        fields.word("kind", of: ArtifactKind.allCases.map(\.rawValue), required: true)
            .flatMap(ArtifactKind.init(rawValue:)) ?? .file
    }

    /// Names become file names in the sandbox.
    private func checkName(_ entry: YAMLEntry) -> Bool {
        if TextFormat.name.accepts(entry.key) { return true }
        faults.add("“\(entry.key)” must be \(TextFormat.name.summary)", at: entry.keyLocation)
        return false
    }
}
