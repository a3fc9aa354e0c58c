/** Whose videos they are when nobody says. */
export const DEFAULT_TENANT = 'local';
