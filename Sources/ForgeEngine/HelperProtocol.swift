package import ForgeBase
package import ForgeStore

/// What a script's tools may keep between runs.
package struct ToolCache: Sendable, Equatable {
    package var name: String
    /// Bytes that it should not grow over.
    package var limit: Int64

    package init(name: String, limit: Int64) {
        self.name = name
        self.limit = limit
    }
}

/// What `forge` writes to the standard input of `forge-helper run`: everything that one action may know.
package struct HelperRequest: Sendable, Equatable {
    package var action: String
    package var stage: String
    package var program: StageProgram
    /// The tree of the stage's folder: what the script sees is what the key is made of.
    package var stageDigest: Digest
    package var options: JSON
    package var inputs: [ResolvedInput]
    package var outputs: [PlannedOutput]
    package var buildRoot: Digest?
    package var locked: Digest?
    /// Fixed variables of the script.
    package var environment: [(String, String)]
    package var epoch: Int64
    package var architecture: String
    package var seed: Digest
    /// Absolute path of the cache directory.
    package var cache: String
    /// An empty directory of this action's own, removed afterwards.
    package var scratch: String
    /// Where a script's output goes; nil for one that has the process, and its output, to itself.
    package var log: String?
    package var jobs: Int
    /// Where to fetch from: archive name → base URLs, in the order to try. Never part of a key.
    package var mirrors: [(String, [String])]
    /// Snapshot services, likewise.
    package var snapshots: [(String, [String])]
    /// By how much the sandbox's clock is wrong on purpose, in faketime(1)'s form; for tests of reproducibility.
    package var clockOffset: String?
    /// Whether the network is forbidden also to stages that use it: what they need must be in the cache.
    package var offline: Bool
    /// nil: the script does without.
    package var toolCache: ToolCache?

    package init(
        _ request: ActionRequest, cache: String, scratch: String, log: String? = nil,
        mirrors: [(String, [String])] = [], snapshots: [(String, [String])] = [], clockOffset: String? = nil,
        offline: Bool = false, toolCacheLimit: Int64? = nil
    ) {
        let action = request.action
        self.action = action.name
        stage = action.stage
        program = action.program
        stageDigest = action.stageDigest
        options = action.options
        inputs = request.inputs
        outputs = action.outputs
        buildRoot = request.buildRoot
        locked = action.locked
        environment = action.environment
        epoch = action.epoch
        architecture = action.architecture
        seed = request.key.seed
        self.cache = cache
        self.scratch = scratch
        self.log = log
        jobs = request.jobs
        self.mirrors = mirrors
        self.snapshots = snapshots
        self.clockOffset = clockOffset
        self.offline = offline
        toolCache = action.toolCache.flatMap { name in toolCacheLimit.map { ToolCache(name: name, limit: $0) } }
    }

    package static func == (lhs: HelperRequest, rhs: HelperRequest) -> Bool { lhs.json == rhs.json }

    package var json: JSON {
        func places(_ list: [(String, [String])]) -> JSON {
            .object(list.map { ($0.0, .array($0.1.map(JSON.string))) })
        }
        return .object([
            ("action", .string(action)),
            ("stage", .string(stage)),
            ("run", .string(program.text)),
            ("stage_digest", .string(stageDigest.description)),
            ("options", options),
            (
                "inputs",
                .array(
                    inputs.map {
                        .object([
                            ("name", .string($0.name)), ("label", .string($0.label)),
                            ("kind", .string($0.kind.rawValue)), ("digest", .string($0.digest.description)),
                        ])
                    })
            ),
            (
                "outputs",
                .array(
                    outputs.map { .object([("name", .string($0.name)), ("kind", .string($0.kind.rawValue))]) })
            ),
            ("build_root", buildRoot.map { .string($0.description) } ?? .null),
            ("locked", locked.map { .string($0.description) } ?? .null),
            ("environment", .object(environment.map { ($0.0, .string($0.1)) })),
            ("epoch", .int(epoch)),
            ("architecture", .string(architecture)),
            ("seed", .string(seed.description)),
            ("cache", .string(cache)),
            ("scratch", .string(scratch)),
            ("log", log.map(JSON.string) ?? .null),
            ("jobs", .int(Int64(jobs))),
            ("mirrors", places(mirrors)),
            ("snapshots", places(snapshots)),
            ("clock_offset", clockOffset.map(JSON.string) ?? .null),
            ("offline", .bool(offline)),
            (
                "tool_cache",
                toolCache.map { .object([("name", .string($0.name)), ("limit", .int($0.limit))]) } ?? .null
            ),
        ])
    }

    /// - Throws: a bug error naming the field: only `forge` writes requests.
    package init(json: JSON) throws(ForgeError) {
        func field<T>(_ name: String, _ read: (JSON) -> T?) throws(ForgeError) -> T {
            guard let value = json[name].flatMap(read) else { throw ForgeError(.bug, "request: bad “\(name)”") }
            return value
        }
        func digest(_ json: JSON) -> Digest? { json.string.flatMap { Digest($0) } }
        func places(_ json: JSON) -> [(String, [String])]? {
            json.object.map { $0.map { ($0.0, ($0.1.array ?? []).compactMap(\.string)) } }
        }
        action = try field("action", \.string)
        stage = try field("stage", \.string)
        program = try field("run") { $0.string.flatMap { StageProgram($0) } }
        stageDigest = try field("stage_digest", digest)
        options = try field("options") { $0 }
        inputs = []
        for item in try field("inputs", \.array) {
            guard let name = item["name"]?.string, let label = item["label"]?.string,
                let kind = item["kind"]?.string.flatMap({ ActionResult.Output.Kind(rawValue: $0) }),
                let digest = item["digest"].flatMap(digest)
            else { throw ForgeError(.bug, "request: bad input") }
            inputs.append(ResolvedInput(name: name, label: label, kind: kind, digest: digest))
        }
        outputs = []
        for item in try field("outputs", \.array) {
            guard let name = item["name"]?.string,
                let kind = item["kind"]?.string.flatMap({ ActionResult.Output.Kind(rawValue: $0) })
            else { throw ForgeError(.bug, "request: bad output") }
            outputs.append(PlannedOutput(name: name, kind: kind))
        }
        buildRoot = json["build_root"].flatMap(digest)
        locked = json["locked"].flatMap(digest)
        environment = (json["environment"]?.object ?? []).map { ($0.0, $0.1.string ?? "") }
        epoch = try field("epoch", \.int)
        architecture = try field("architecture", \.string)
        seed = try field("seed", digest)
        cache = try field("cache", \.string)
        scratch = try field("scratch", \.string)
        log = json["log"]?.string
        jobs = Int(try field("jobs", \.int))
        mirrors = try field("mirrors", places)
        snapshots = try field("snapshots", places)
        clockOffset = json["clock_offset"]?.string
        offline = json["offline"]?.bool ?? false
        if let name = json["tool_cache"]?["name"]?.string, let limit = json["tool_cache"]?["limit"]?.int {
            toolCache = ToolCache(name: name, limit: limit)
        }
    }
}

extension StageProgram {
    /// As `stage.yaml` writes it: `script` or `builtin:<name>`.
    package var text: String {
        switch self {
        case .script: "script"
        case .builtin(let name): "builtin:\(name)"
        }
    }

    package init?(_ text: String) {
        if text == "script" {
            self = .script
        } else if text.hasPrefix("builtin:") {
            self = .builtin(String(text.dropFirst("builtin:".count)))
        } else {
            return nil
        }
    }
}

/// What the helper says on descriptor 3, one JSON object a line.
package enum HelperEvent: Sendable {
    case progress(ActionProgress)
    /// What a script took: processor time in seconds, bytes of its largest process.
    case used(cpuSeconds: Double, maxMemory: Int64)
    case result(outputs: [ActionResult.Output], provides: [JSON])
    case error(ForgeError)

    package var json: JSON {
        switch self {
        case .progress(let progress):
            return .object([
                ("event", .string("progress")), ("phase", progress.phase.map(JSON.string) ?? .null),
                ("done", .int(progress.done)), ("total", .int(progress.total)), ("unit", .string(progress.unit)),
            ])
        case .used(let seconds, let memory):
            return .object([
                ("event", .string("used")), ("cpu_microseconds", .int(Int64(seconds * 1e6))),
                ("max_memory", .int(memory)),
            ])
        case .result(let outputs, let provides):
            let list = outputs.map { output in
                JSON.object([
                    ("name", .string(output.name)), ("kind", .string(output.kind.rawValue)),
                    ("digest", .string(output.digest.description)),
                ])
            }
            return .object([("event", .string("result")), ("outputs", .array(list)), ("provides", .array(provides))])
        case .error(let error):
            return .object([("event", .string("error")), ("error", error.json)])
        }
    }

    /// nil if the line is none of forge's.
    package init?(json: JSON) {
        switch json["event"]?.string {
        case "progress":
            self = .progress(
                ActionProgress(
                    phase: json["phase"]?.string, done: json["done"]?.int ?? 0, total: json["total"]?.int ?? 0,
                    unit: json["unit"]?.string ?? "items"))
        case "used":
            guard let cpu = json["cpu_microseconds"]?.int, let memory = json["max_memory"]?.int else { return nil }
            self = .used(cpuSeconds: Double(cpu) / 1e6, maxMemory: memory)
        case "result":
            var outputs: [ActionResult.Output] = []
            for item in json["outputs"]?.array ?? [] {
                guard let name = item["name"]?.string,
                    let kind = item["kind"]?.string.flatMap({ ActionResult.Output.Kind(rawValue: $0) }),
                    let digest = item["digest"]?.string.flatMap({ Digest($0) })
                else { return nil }
                outputs.append(ActionResult.Output(name: name, kind: kind, digest: digest))
            }
            self = .result(outputs: outputs, provides: json["provides"]?.array ?? [])
        case "error":
            guard let error = json["error"].flatMap({ ForgeError(json: $0) }) else { return nil }
            self = .error(error)
        default: return nil
        }
    }
}
