import ForgeBase
import ForgeEngine
import ForgeStore

/// A small deterministic generator (SplitMix64), so that a failing graph can be made again from its number.
struct SeededGenerator: RandomNumberGenerator {
    var state: UInt64

    mutating func next() -> UInt64 {
        state &+= 0x9e37_79b9_7f4a_7c15
        var z = state
        z = (z ^ (z >> 30)) &* 0xbf58_476d_1ce4_e5b9
        z = (z ^ (z >> 27)) &* 0x94d0_49bb_1331_11eb
        return z ^ (z >> 31)
    }
}

/// Runs actions without processes: an action's output is a text made of its option and its inputs' texts. Records what
/// ran, in order, and how much ran at once.
final class FakeRunner: ActionRunner {
    let store: any ObjectStore
    private(set) var ran: [String] = []
    private(set) var mostCores = 0
    /// Actions that fail.
    var failing: Set<String> = []
    /// Actions that can't be started.
    var broken: Set<String> = []
    private(set) var wasCancelled = false
    /// Interrupts after so many actions have ended.
    var interruptAfter: Int?
    /// Interrupts after so many look-ups.
    var interruptAfterLookups: Int?
    /// Chooses which running action ends next, so that orders vary.
    var generator: SeededGenerator
    private var running: [(index: Int, request: ActionRequest)] = []
    private var ended = 0

    init(store: any ObjectStore, seed: UInt64 = 0) {
        self.store = store
        generator = SeededGenerator(state: seed)
    }

    func start(_ index: Int, _ request: ActionRequest) throws {
        guard !broken.contains(request.action.name) else {
            throw ForgeError(.io, "\(request.action.name) can't be started")
        }
        running.append((index, request))
        ran.append(request.action.name)
        mostCores = max(mostCores, running.reduce(0) { $0 + $1.request.action.resources.cpu })
    }

    func next() throws -> RunnerEvent {
        if let limit = interruptAfter, ended >= limit { return .interrupted }
        let chosen = running.remove(at: Int.random(in: running.indices, using: &generator))
        ended += 1
        if failing.contains(chosen.request.action.name) {
            return .finished(chosen.index, .failure(ForgeError(.stageFailed, "\(chosen.request.action.name) fails")))
        }
        let text = try FakeRunner.output(
            option: chosen.request.action.options["value"]?.int ?? 0,
            inputs: chosen.request.inputs.map { String(decoding: try store.read($0.digest), as: UTF8.self) })
        let digest = try store.put(Array(text.utf8))
        let output = ActionResult.Output(name: "out", kind: .file, digest: digest)
        return .finished(chosen.index, .success(ActionResult(outputs: [output])))
    }

    func isInterrupted() -> Bool {
        interruptAfterLookups = interruptAfterLookups.map { $0 - 1 }
        return interruptAfterLookups.map { $0 < 0 } ?? false
    }

    func cancelAll() {
        running = []
        wasCancelled = true
    }

    /// What every action of the tests does; many different inputs give the same output, as with comments and compilers.
    static func output(option: Int64, inputs: [String]) -> String {
        var sum = option
        for input in inputs { sum = sum &* 31 &+ (Int64(input) ?? 0) }
        return String(sum % 7)
    }
}
