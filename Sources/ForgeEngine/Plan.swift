package import ForgeBase
package import ForgeStore

/// What an action takes of the machine while it runs.
package struct Resources: Sendable, Equatable {
    /// Cores; `Int.max` means all there are.
    package var cpu: Int
    /// Bytes.
    package var memory: Int64
    /// Transfers to and from the disk at once.
    package var disk: Int
    /// Transfers from the network at once.
    package var network: Int

    package init(cpu: Int = 1, memory: Int64 = 0, disk: Int = 0, network: Int = 0) {
        self.cpu = cpu
        self.memory = memory
        self.disk = disk
        self.network = network
    }
}

/// One output of one action of a plan.
package struct OutputReference: Hashable, Sendable {
    /// Index in `Plan.actions`.
    package var action: Int
    package var output: String

    package init(action: Int, output: String) {
        self.action = action
        self.output = output
    }
}

/// An input of an action, before anything has run.
package struct PlannedInput: Sendable, Equatable {
    package enum Source: Sendable, Equatable {
        /// What another action will make.
        case output(OutputReference)
        /// What is in the store already: files of the recipe.
        case object(Digest, ActionResult.Output.Kind)
    }

    /// The stage's name for the input; several inputs of one name keep their order.
    package var name: String
    /// Tells inputs of one name apart.
    package var label: String
    package var source: Source

    package init(name: String, label: String, source: Source) {
        self.name = name
        self.label = label
        self.source = source
    }
}

/// How a stage does its work.
package enum StageProgram: Sendable, Equatable {
    /// The `run` script of the stage's folder, in the build root.
    case script
    /// A function of the helper program.
    case builtin(String)
}

/// An output that a stage promises.
package struct PlannedOutput: Sendable, Equatable {
    package var name: String
    package var kind: ActionResult.Output.Kind
    package var mediaType: String?

    package init(name: String, kind: ActionResult.Output.Kind, mediaType: String? = nil) {
        self.name = name
        self.kind = kind
        self.mediaType = mediaType
    }
}

/// One stage with its options and inputs resolved: the unit that is hashed, cached, run and explained.
package struct PlannedAction: Sendable {
    /// For people, unique in a plan: `debian-node/base`.
    package var name: String
    package var stage: String
    package var program: StageProgram
    /// The tree of the stage's folder.
    package var stageDigest: Digest
    /// Every option with its default filled in; canonical.
    package var options: JSON
    /// The options that enter the key: where a lock pins the bytes, not the places they are fetched from.
    package var keyedOptions: JSON
    package var inputs: [PlannedInput]
    /// The tree in which the script runs.
    package var buildRoot: OutputReference?
    /// The part of the lock that this action keeps to, as an object in the store.
    package var locked: Digest?
    /// Fixed variables of a script, beside those that every script has.
    package var environment: [(String, String)]
    package var outputs: [PlannedOutput]
    /// Seconds since 1970, the only time that an action sees.
    package var epoch: Int64
    package var architecture: String
    package var resources: Resources
    /// Whether the stage may use the network. Only stages that fetch pinned bytes may.
    package var network: Bool
    /// The most seconds that a run may take. In no key: it decides whether there is a result, not which.
    package var timeout: Int64?
    /// What a script's tools keep between runs, by name. In no key: it must not change a byte.
    package var toolCache: String?
    /// Where the recipe asks for it.
    package var location: SourceLocation?

    package init(
        name: String, stage: String, program: StageProgram, stageDigest: Digest, options: JSON,
        keyedOptions: JSON? = nil, inputs: [PlannedInput] = [], buildRoot: OutputReference? = nil,
        locked: Digest? = nil, environment: [(String, String)] = [],
        outputs: [PlannedOutput], epoch: Int64 = 0, architecture: String = "amd64", resources: Resources = Resources(),
        network: Bool = false, timeout: Int64? = nil, toolCache: String? = nil, location: SourceLocation? = nil
    ) {
        self.name = name
        self.stage = stage
        self.program = program
        self.stageDigest = stageDigest
        self.options = options
        self.keyedOptions = keyedOptions ?? options
        self.inputs = inputs
        self.buildRoot = buildRoot
        self.locked = locked
        self.environment = environment
        self.outputs = outputs
        self.epoch = epoch
        self.architecture = architecture
        self.resources = resources
        self.network = network
        self.timeout = timeout
        self.toolCache = toolCache
        self.location = location
    }

    /// Whether a result has every output that the stage declares. One that was brought from elsewhere may not.
    package func accepts(_ result: ActionResult) -> Bool {
        outputs.allSatisfy { output in
            result.outputs.contains { $0.name == output.name && $0.kind == output.kind }
        }
    }

    /// The actions whose outputs this one needs, without duplicates, ascending.
    package var dependencies: [Int] {
        var found: Set<Int> = []
        for input in inputs { if case .output(let reference) = input.source { found.insert(reference.action) } }
        if let buildRoot { found.insert(buildRoot.action) }
        return found.sorted()
    }
}

/// A published output of a cell.
package struct PlannedArtifact: Sendable, Equatable {
    /// Below `out/<recipe>/<cell>/`.
    package var path: String
    package var source: OutputReference
    package var mediaType: String?

    package init(path: String, source: OutputReference, mediaType: String? = nil) {
        self.path = path
        self.source = source
        self.mediaType = mediaType
    }
}

/// The graph of actions for a request: pure data, made without running anything.
package struct Plan: Sendable {
    /// Every action comes after those it depends on.
    package private(set) var actions: [PlannedAction] = []
    /// Of each action, those that it depends on: ascending, each once.
    package private(set) var dependencies: [[Int]] = []
    package var artifacts: [PlannedArtifact] = []

    package init() {}

    /// Adds an action, or finds the equal one that is there already: equal actions of different cells are one.
    /// - Returns: its index.
    package mutating func add(_ action: PlannedAction) -> Int {
        let needed = action.dependencies
        precondition(
            needed.allSatisfy { $0 < actions.count }, "BUG: an action was planned before what it depends on")
        let identity = Plan.identity(of: action)
        if let same = index[identity] { return same }
        actions.append(action)
        dependencies.append(needed)
        index[identity] = actions.count - 1
        return actions.count - 1
    }

    /// The actions that `wanted` needs, themselves included, ascending.
    package func closure(of wanted: some Sequence<Int>) -> [Int] {
        var needed = Array(repeating: false, count: actions.count)
        for action in wanted { needed[action] = true }
        for i in actions.indices.reversed() where needed[i] {
            for dependency in dependencies[i] { needed[dependency] = true }
        }
        return actions.indices.filter { needed[$0] }
    }

    /// Everything that makes two actions do the same, whatever they are called.
    private var index: [Digest: Int] = [:]

    private static func identity(of action: PlannedAction) -> Digest {
        var encoder = CanonicalEncoder(domain: "forge.plan.1")
        encoder.add(action.stage)
        encoder.add(action.stageDigest)
        encoder.add(action.options.description)
        encoder.add(UInt64(action.inputs.count))
        for input in action.inputs {
            encoder.add(input.name)
            encoder.add(input.label)
            switch input.source {
            case .output(let reference):
                encoder.add("output")
                encoder.add(UInt64(reference.action))
                encoder.add(reference.output)
            case .object(let digest, let kind):
                encoder.add("object")
                encoder.add(digest)
                encoder.add(kind.rawValue)
            }
        }
        encoder.add(action.buildRoot.map { "\($0.action) \($0.output)" } ?? "")
        encoder.add(action.locked.map(\.description) ?? "")
        encoder.add(UInt64(action.environment.count))
        for (name, value) in action.environment {
            encoder.add(name)
            encoder.add(value)
        }
        encoder.add(UInt64(bitPattern: action.epoch))
        encoder.add(action.architecture)
        return encoder.digest
    }
}
