/* SPDX-License-Identifier: GPL-2.0 */
/* The last part of the ring-3 library (library.S): where its text and the table of names end. */

	.balign	16, 0xcc
	.globl	side_ring3_text_end
	.hidden	side_ring3_text_end
side_ring3_text_end:

	.pushsection .rodata.side_ring3_names, "a"
	.globl	side_ring3_names_end
	.hidden	side_ring3_names_end
side_ring3_names_end:
	.popsection
	.popsection
