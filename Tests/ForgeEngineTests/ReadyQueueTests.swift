import Testing

@testable import ForgeEngine

@Suite struct ReadyQueueTests {
    @Test func whatBecomesMoreUrgentIsTakenOnceAndEarlier() {
        var queue = ReadyQueue()
        for (index, priority) in [(1, 1.0), (2, 2), (3, 3), (1, 2.5), (1, 0.5), (2, 9)] {
            queue.push(index, need: Resources(cpu: index % 2), priority: priority)
        }
        let order = (0..<4).map { _ in queue.pop(passingOver: 9) { _ in true } }
        #expect(order == [2, 3, 1, nil])
    }
}
