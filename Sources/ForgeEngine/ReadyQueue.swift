/// Actions that wait for resources, the most urgent first.
///
/// A lane for each amount of resources, because there are few of them and thousands of actions: what fits is found by
/// looking at the first of each lane.
struct ReadyQueue {
    private struct Lane {
        var need: Resources
        /// A binary heap: each is at least as urgent as those at twice its place and a little more.
        var heap: [Entry] = []
    }

    private struct Entry {
        var index: Int
        var priority: Double

        /// Of equally urgent ones the first in the plan, so that builds are alike.
        func isBefore(_ other: Entry) -> Bool {
            priority != other.priority ? priority > other.priority : index < other.index
        }
    }

    private var lanes: [Lane] = []
    /// Of each action that waits. What a heap holds with another priority counts for nothing.
    private var priorities: [Int: Double] = [:]
    /// The most urgent action when it last did not fit, and how many less urgent ones have been taken since.
    private var passedOver: (index: Int, times: Int) = (-1, 0)

    /// Adds an action, or makes one that waits more urgent.
    mutating func push(_ index: Int, need: Resources, priority: Double) {
        if let known = priorities[index], known >= priority { return }
        priorities[index] = priority
        let lane = lanes.firstIndex { $0.need == need } ?? lanes.endIndex
        if lane == lanes.endIndex { lanes.append(Lane(need: need)) }
        lanes[lane].heap.append(Entry(index: index, priority: priority))
        var child = lanes[lane].heap.count - 1
        while child > 0 {
            let parent = (child - 1) / 2
            guard lanes[lane].heap[child].isBefore(lanes[lane].heap[parent]) else { break }
            lanes[lane].heap.swapAt(child, parent)
            child = parent
        }
    }

    /// Takes the most urgent action that may start. Where that is not the most urgent of all, which waits for more than is
    /// free, it may be passed over so many times and then everything waits with it: else it might wait for ever.
    mutating func pop(passingOver most: Int, fits: (Resources) -> Bool) -> Int? {
        for lane in lanes.indices { dropOutdated(lane) }
        let order = lanes.indices.filter { !lanes[$0].heap.isEmpty }.sorted {
            lanes[$0].heap[0].isBefore(lanes[$1].heap[0])
        }
        guard let first = order.first else { return nil }
        if fits(lanes[first].need) { return take(from: first) }
        let waiting = lanes[first].heap[0].index
        if passedOver.index != waiting { passedOver = (waiting, 0) }
        guard passedOver.times < most, let other = order.first(where: { fits(lanes[$0].need) }) else { return nil }
        passedOver.times += 1
        return take(from: other)
    }

    mutating func removeAll() {
        lanes = []
        priorities = [:]
    }

    private mutating func dropOutdated(_ lane: Int) {
        while let first = lanes[lane].heap.first, priorities[first.index] != first.priority { removeFirst(of: lane) }
    }

    private mutating func take(from lane: Int) -> Int {
        let index = lanes[lane].heap[0].index
        priorities[index] = nil
        removeFirst(of: lane)
        return index
    }

    private mutating func removeFirst(of lane: Int) {
        lanes[lane].heap.swapAt(0, lanes[lane].heap.count - 1)
        lanes[lane].heap.removeLast()
        var parent = 0
        while true {
            var first = parent
            for child in [2 * parent + 1, 2 * parent + 2] where child < lanes[lane].heap.count {
                if lanes[lane].heap[child].isBefore(lanes[lane].heap[first]) { first = child }
            }
            if first == parent { return }
            lanes[lane].heap.swapAt(parent, first)
            parent = first
        }
    }
}
