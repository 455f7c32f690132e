// Re-exported for the CLI, which may not import a floor below the engine.
export { isRemoteSource } from '../../builder/git/remote-source.ts';
