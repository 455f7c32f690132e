/**
 * Whether a service that its health check calls unhealthy is started again: `x-hypr: {restart_unhealthy: true}`, or the label `autoheal: "true"`,
 * by which the image of that name finds its containers. `fault`: the setting is neither true nor false.
 */
export const readRestartUnhealthy = (
  settings: unknown,
  labels: Readonly<Record<string, unknown>> = {},
): boolean | { readonly fault: string } => {
  const { restart_unhealthy: asked } = (settings ?? {}) as Readonly<Record<string, unknown>>;
  if (asked !== undefined && typeof asked !== 'boolean') {
    return { fault: 'must be true or false' };
  }
  return asked ?? String(labels.autoheal) === 'true';
};
