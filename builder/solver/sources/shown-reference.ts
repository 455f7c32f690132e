/** An image reference as BuildKit shows it: with registry and tag. */
export const shownReference = (reference: string): string => {
  const first = reference.split('/')[0] ?? '';
  const hasRegistry = reference.includes('/') && /[.:]|^localhost$/.test(first);
  const path = hasRegistry ? reference : `docker.io/${reference.includes('/') ? '' : 'library/'}${reference}`;
  return /[:@][^/]*$/.test(path.slice(path.lastIndexOf('/'))) ? path : `${path}:latest`;
};
