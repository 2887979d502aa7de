import ForgeBase
import ForgeRecipe
import ForgeSystem
import Testing

/// A generator with a fixed start, so that a failure comes again.
struct SplitMix: RandomNumberGenerator {
    var state: UInt64

    mutating func next() -> UInt64 {
        state &+= 0x9e37_79b9_7f4a_7c15
        var z = state
        z = (z ^ (z >> 30)) &* 0xbf58_476d_1ce4_e5b9
        z = (z ^ (z >> 27)) &* 0x94d0_49bb_1331_11eb
        return z ^ (z >> 31)
    }
}

@Suite struct MutationTests {
    static let pieces: [[UInt8]] = [
        "${", "}", "$${", "{", "[", "]", ": ", "- ", "\n", "\n  ", "\t", "&a ", "*a", "!!str ", "|", ">", "\"", "'",
        "#", "---\n",
        "when: {suite: trixie}", "value: x", "values: [x]", "null", "true", "99999999999999999999", "../", "/", "\u{0}",
        "é", "%",
    ].map { Array($0.utf8) }

    /// One to four random edits: a piece put in, bytes taken out or doubled, a bit turned.
    static func mutate(_ text: [UInt8], _ random: inout SplitMix) -> [UInt8] {
        var text = text
        for _ in 0..<Int.random(in: 1...4, using: &random) where !text.isEmpty {
            let at = Int.random(in: 0..<text.count, using: &random)
            let end = min(text.count, at + Int.random(in: 1...24, using: &random))
            switch Int.random(in: 0..<4, using: &random) {
            case 0: text.insert(contentsOf: pieces.randomElement(using: &random) ?? [], at: at)
            case 1: text.removeSubrange(at..<end)
            case 2: text.insert(contentsOf: text[at..<end], at: Int.random(in: 0..<text.count, using: &random))
            default: text[at] ^= 1 << UInt8.random(in: 0..<8, using: &random)
            }
        }
        return text
    }

    /// Nothing crashes, and everything that is refused is refused with its place.
    @Test(arguments: 0..<8) func mutatedRecipeIsTakenOrRefusedWithAPlace(seed: UInt64) throws {
        let project = try Project()
        let catalog = project.layout.catalog()
        var random = SplitMix(state: seed)
        var refused = 0
        for _ in 0..<400 {
            let text = MutationTests.mutate(Array(Project.recipe.utf8), &random)
            do {
                _ = try Recipe.parse(
                    text, name: "node", file: "recipe.yaml", directory: project.root + "/recipes/node", catalog: catalog
                )
            } catch let errors as ForgeErrors {
                refused += 1
                let lines = text.count { $0 == UInt8(ascii: "\n") || $0 == UInt8(ascii: "\r") } + 2
                for error in errors.errors {
                    #expect(error.code == .badInput, "\(error)")
                    let line = error.location?.line ?? 0
                    #expect((1...lines).contains(line), "\(error)")
                }
            }
        }
        #expect(refused > 200)
    }

    @Test func mutatedStageIsTakenOrRefusedWithAPlace() throws {
        let project = try Project()
        let text = Array((Project.stages["stages/rootfs/stage.yaml"] ?? "").utf8)
        var random = SplitMix(state: 7)
        for _ in 0..<2000 {
            do throws(ForgeErrors) {
                _ = try StageDefinition.parse(
                    MutationTests.mutate(text, &random), folder: project.root + "/stages/rootfs", file: "stage.yaml")
            } catch {
                for error in error.errors { #expect(error.location != nil && error.code == .badInput, "\(error)") }
            }
        }
    }
}
