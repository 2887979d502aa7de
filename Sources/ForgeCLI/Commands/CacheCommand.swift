import ForgeBase
import ForgeStore

/// `forge cache`
struct CacheCommand {
    let session: Session

    func run() throws -> ExitCode { .done }
}
