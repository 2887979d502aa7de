import ForgeFuzz
import Glibc

/// The target that `FORGE_FUZZ_TARGET` names, found at the first input.
private let target: FuzzTarget = {
    let name = getenv("FORGE_FUZZ_TARGET").map { String(cString: $0) } ?? ""
    guard let target = FuzzTarget.named(name) else {
        fatalError("FORGE_FUZZ_TARGET names no target: \(FuzzTarget.all.map(\.name).joined(separator: " "))")
    }
    return target
}()

/// What libFuzzer calls with every input. A breach ends the process, which libFuzzer takes for a crash.
@_cdecl("LLVMFuzzerTestOneInput")
public func testOneInput(_ start: UnsafePointer<UInt8>?, _ count: Int) -> CInt {
    let input = Array(UnsafeBufferPointer(start: start, count: count))
    do { try target.run(input) } catch { fatalError("\(target.name): \(error)") }
    return 0
}
