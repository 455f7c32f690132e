// A face for the CLI, which knows no floor below the engine.
export { isRemoteSource } from '../../builder/git/remote-source.ts';
