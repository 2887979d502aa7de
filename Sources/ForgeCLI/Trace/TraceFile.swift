import ForgeBase
import ForgeEngine
import ForgePlanner
import ForgeStore
import ForgeSystem

/// A trace in the JSON Object Format of the Trace Event Format
/// (<https://docs.google.com/document/d/1CvAClvFfyA5R-PhYUmn5OOQtYMH4h6I0nSsKchNAySU>), which <https://ui.perfetto.dev> and
/// `chrome://tracing` open. Times are microseconds from the start of the build.
///
/// One process each for forge, the actions and the machine. Actions are complete events (`X`) in as many threads as ran at
/// once, phases nested in them; what an action waited for is a flow (`s`, `f`); loads are counters (`C`).
struct TraceFile {
    private enum Process: Int64 { case forge = 1, actions, machine }

    let recorder: TraceRecorder
    let engine: Engine
    let title: String

    var json: JSON {
        let lanes = TraceFile.lanes(recorder.actions)
        return .object([
            ("displayTimeUnit", .string("ms")),
            ("otherData", .object([("build", .string(title)), ("forge", .string(Version.text))])),
            ("traceEvents", .array(names(lanes) + own() + actions(lanes) + flows(lanes) + counters())),
        ])
    }

    /// The lane of each action: the first that is free when it starts, so that lanes are as many as ran at once.
    static func lanes(_ actions: [TraceRecorder.Action]) -> [Int] {
        var free: [Double] = []
        var lanes = Array(repeating: 0, count: actions.count)
        for place in actions.indices.sorted(by: { (actions[$0].start, $0) < (actions[$1].start, $1) }) {
            let lane = free.firstIndex { $0 <= actions[place].start } ?? free.count
            if lane == free.count { free.append(0) }
            free[lane] = actions[place].end
            lanes[place] = lane
        }
        return lanes
    }

    // MARK: Events

    /// - Parameter thread: within the process. Its number is made another than the process's, which Perfetto would take for
    ///   the main thread.
    private func event(
        _ phase: String, _ name: String, _ process: Process, _ thread: Int, at time: Double,
        _ more: [(String, JSON)] = []
    ) -> JSON {
        .object(
            [
                ("ph", .string(phase)), ("name", .string(name)), ("pid", .int(process.rawValue)),
                ("tid", .int(process.rawValue * 100 + Int64(thread))), ("ts", .int(TraceFile.micro(time))),
            ] + more)
    }

    private static func micro(_ seconds: Double) -> Int64 { Int64((seconds * 1e6).rounded()) }

    private func slice(
        _ name: String, _ process: Process, _ thread: Int, _ start: Double, _ end: Double, _ kind: String,
        _ facts: [(String, JSON)]
    ) -> JSON {
        // Both ends are rounded, not the length: so what is nested stays nested.
        let length = max(1, TraceFile.micro(end) - TraceFile.micro(start))
        return event(
            "X", name, process, thread, at: start,
            [("dur", .int(length)), ("cat", .string(kind)), ("args", .object(facts))])
    }

    private func names(_ lanes: [Int]) -> [JSON] {
        func named(_ what: String, _ text: String, _ process: Process, _ thread: Int) -> JSON {
            event("M", what, process, thread, at: 0, [("args", .object([("name", .string(text))]))])
        }
        func ordered(_ what: String, _ place: Int64, _ process: Process, _ thread: Int) -> JSON {
            event("M", what, process, thread, at: 0, [("args", .object([("sort_index", .int(place))]))])
        }
        var events: [JSON] = []
        for (process, text) in [(Process.actions, "actions"), (.forge, "forge"), (.machine, "machine")] {
            events.append(named("process_name", text, process, 0))
            events.append(ordered("process_sort_index", process == .actions ? 0 : process.rawValue, process, 0))
        }
        events.append(named("thread_name", "forge", .forge, 1))
        for lane in 0..<((lanes.max() ?? -1) + 1) {
            events.append(named("thread_name", "slot \(lane + 1)", .actions, lane + 1))
            events.append(ordered("thread_sort_index", Int64(lane), .actions, lane + 1))
        }
        return events
    }

    private func own() -> [JSON] {
        recorder.spans.sorted { ($0.start, -$0.end) < ($1.start, -$1.end) }.map {
            slice($0.name, .forge, 1, $0.start, $0.end, "forge", $0.facts)
        }
    }

    private func actions(_ lanes: [Int]) -> [JSON] {
        recorder.actions.enumerated().flatMap { place, action -> [JSON] in
            let planned = engine.plan.actions[action.index]
            var facts: [(String, JSON)] = [
                ("stage", .string(planned.stage)), ("outcome", .string("\(engine.states[action.index])")),
                ("key", engine.keys[action.index].map { .string($0.digest.hex) } ?? .null),
            ]
            if let result = engine.results[action.index] {
                facts.append(("processor seconds", .rounded(result.cpuSeconds)))
                facts.append(("memory", .string(Format.bytes(result.maxMemory))))
                for output in result.outputs {
                    facts.append(("output \(output.name)", .string(output.digest.description)))
                }
            }
            if let error = engine.errors[action.index] { facts.append(("error", .string(error.message))) }
            let lane = lanes[place] + 1
            return [slice(planned.name, .actions, lane, action.start, action.end, "action", facts)]
                + action.phases.map { slice($0.name, .actions, lane, $0.start, $0.end, "phase", []) }
        }
    }

    /// From each action to those that waited for it and ran.
    private func flows(_ lanes: [Int]) -> [JSON] {
        let places = Dictionary(recorder.actions.enumerated().map { ($1.index, $0) }) { first, _ in first }
        var events: [JSON] = []
        var number: Int64 = 0
        for (place, action) in recorder.actions.enumerated() {
            for dependency in engine.plan.dependencies[action.index] {
                guard let maker = places[dependency] else { continue }
                number += 1
                let more: [(String, JSON)] = [("id", .int(number)), ("cat", .string("input"))]
                // Just inside both slices, which is how a flow finds them.
                let made = max(recorder.actions[maker].start, recorder.actions[maker].end - 1e-6)
                events.append(event("s", "input", .actions, lanes[maker] + 1, at: made, more))
                events.append(
                    event(
                        "f", "input", .actions, lanes[place] + 1, at: action.start, more + [("bp", .string("e"))]))
            }
        }
        return events
    }

    private func counters() -> [JSON] {
        var events: [JSON] = []
        func add(_ name: String, _ time: Double, _ unit: String, _ value: JSON) {
            // Perfetto puts the unit behind the name.
            events.append(event("C", name, .machine, 0, at: time, [("args", .object([(unit, value)]))]))
        }
        for (old, new) in zip(recorder.samples, recorder.samples.dropFirst()) where new.time > old.time {
            let length = new.time - old.time
            func rate(_ before: Double, _ after: Double) -> JSON { .rounded(max(0, after - before) / length) }
            add("processors busy", old.time, "(cores)", rate(old.load.busy, new.load.busy))
            add("processors waiting for disk", old.time, "(cores)", rate(old.load.waiting, new.load.waiting))
            add("memory in use", old.time, "(MB)", .rounded(Double(new.load.memory) / 1e6))
            guard let before = old.load.disk, let after = new.load.disk else { continue }
            add("disk read", old.time, "(MB/s)", rate(Double(before.read) / 1e6, Double(after.read) / 1e6))
            add("disk write", old.time, "(MB/s)", rate(Double(before.written) / 1e6, Double(after.written) / 1e6))
        }
        var running: Int64 = 0
        let changes = recorder.actions.flatMap { [($0.start, Int64(1)), ($0.end, Int64(-1))] }
        for (time, change) in changes.sorted(by: { ($0.0, $0.1) < ($1.0, $1.1) }) {
            running += change
            add("actions", time, "running", .int(running))
        }
        return events
    }
}
