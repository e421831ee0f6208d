! What Fortran has: arrays with bounds of their own, by columns; texts with a length; by-reference arguments.
module shapes
  implicit none
  type :: point
    integer :: x
    real(8) :: y
  end type point
  integer :: shared = 11
contains
  subroutine work(count, scale, word, values, place)
    integer, intent(in) :: count
    real(4), intent(inout) :: scale
    character(len=*), intent(in) :: word
    integer, intent(in) :: values(2, 3)
    type(point), intent(inout) :: place
    integer(8) :: big
    logical :: yes
    complex(8) :: z
    integer :: bounded(-1:1)
    integer :: sized(count)
    character(len=5) :: text
    integer :: i
    interface
      subroutine wait_here() bind(c, name="umbel_wait")
      end subroutine wait_here
    end interface
    big = 5000000000_8
    yes = .true.
    z = (1.5d0, -2d0)
    bounded = [7, 8, 9]
    do i = 1, count
      sized(i) = i * i
    end do
    text = "hello"
    call wait_here()
    scale = scale + sized(1) + real(big) + values(1, 1) + place%x + len(word) + bounded(0) + ichar(text(1:1)) + real(z)
    if (yes) shared = shared + 1
  end subroutine work
end module shapes

program main
  use shapes
  implicit none
  real(4) :: scale = 0.5
  type(point) :: place = point(3, 2.5d0)
  integer :: values(2, 3) = reshape([1, 2, 3, 4, 5, 6], [2, 3])
  call work(3, scale, "word", values, place)
  print *, scale
end program main
